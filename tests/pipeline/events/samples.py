"""One line of each format, written for these tests, and what it has to become."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

NOW = int(datetime(2024, 6, 1, tzinfo=UTC).timestamp()) * 10**9
NOON = int(datetime(2024, 5, 1, 12, tzinfo=UTC).timestamp()) * 10**9
MS = 1_000_000

# The format's name as it is told by looking, the line, fields of the event.
LINES: list[tuple[str, str, dict[str, Any]]] = [
    (
        "json",
        '{"ts":"2024-05-01T12:00:00Z","level":"error","msg":"boom"}',
        {"timestamp": NOON, "level": 17, "message": "boom"},
    ),
    (
        "rfc5424",
        '<165>1 2024-05-01T12:00:00.003Z web-1 shop 1234 ID47 [x@32473 iut="3" name="a\\"b\\]c\\\\d"] An event',
        {
            "timestamp": NOON + 3 * MS,
            "level": 10,
            "service": "shop",
            "host": "web-1",
            "message": "An event",
            "attributes": {"iut": 3, "name": 'a"b]c\\d', "pid": 1234, "facility": "local4", "msgid": "ID47"},
        },
    ),
    (
        "rfc5424",
        "<34>1 - - - - - -",
        {
            "timestamp": NOW,
            "level": 21,
            "service": "file",
            "host": "here",
            "message": "",
            "attributes": {"facility": "auth"},
        },
    ),
    (
        "rfc5424",
        '<11>1 2024-05-01T14:00:00+02:00 h app - - [a@1 x="1"][b@2 y="2" z=""] \ufeffm',
        {
            "timestamp": NOON,
            "level": 17,
            "message": "m",
            "attributes": {"a@1.x": 1, "b@2.y": 2, "b@2.z": "", "facility": "user"},
        },
    ),
    (
        "syslog",
        "<34>May  1 12:00:00 web-1 su[42]: 'su root' failed on /dev/pts/8",
        {
            "timestamp": NOON,
            "level": 21,
            "service": "su",
            "host": "web-1",
            "message": "'su root' failed on /dev/pts/8",
            "attributes": {"pid": 42, "facility": "auth"},
        },
    ),
    (
        "syslog",
        "May  1 12:00:00 web-1 kernel: [   12.345] usb 1-1: new device",
        {
            "timestamp": NOON,
            "level": 9,
            "service": "kernel",
            "host": "web-1",
            "message": "[   12.345] usb 1-1: new device",
        },
    ),
    (
        "syslog",
        "2024-05-01T14:00:00.5+02:00 web-1 systemd[1]: Started nginx.service.",
        {"timestamp": NOON + 500 * MS, "service": "systemd", "host": "web-1", "message": "Started nginx.service."},
    ),
    (
        "syslog",
        "May  1 12:00:00 web-1 shop[7]: ERROR payment failed",
        {"level": 17, "service": "shop", "message": "payment failed"},
    ),
    (
        "syslog",
        'May  1 12:00:00 web-1 shop[7]: @cee: {"level":"warn","msg":"inner","n":1}',
        {
            "timestamp": NOON,
            "level": 13,
            "service": "shop",
            "host": "web-1",
            "message": "inner",
            "attributes": {"pid": 7, "n": 1},
        },
    ),
    (
        "access",
        '203.0.113.9 - ann [01/May/2024:14:00:00 +0200] "GET /a%20b?q=1&r=x HTTP/1.1" 200 2326'
        ' "https://e.org/" "curl/8.1"',
        {
            "timestamp": NOON,
            "level": 9,
            "message": "GET /a%20b?q=1&r=x HTTP/1.1 200",
            "attributes": {
                "client": "203.0.113.9",
                "user": "ann",
                "method": "GET",
                "path": "/a%20b",
                "query": "q=1&r=x",
                "protocol": "HTTP/1.1",
                "status": 200,
                "bytes": 2326,
                "referrer": "https://e.org/",
                "user_agent": "curl/8.1",
            },
        },
    ),
    (
        "access",
        '::1 - - [01/May/2024:12:00:00 +0000] "POST /x HTTP/2.0" 404 -',
        {
            "timestamp": NOON,
            "level": 13,
            "attributes": {"client": "::1", "method": "POST", "path": "/x", "protocol": "HTTP/2.0", "status": 404},
        },
    ),
    (
        "access",
        r'10.0.0.1 - - [01/May/2024:12:00:00 +0000] "\x16\x03\x01" 400 157 "-" "-"',
        {"level": 13, "message": "\x16\x03\x01 400", "attributes": {"client": "10.0.0.1", "status": 400, "bytes": 157}},
    ),
    (
        "access",
        r'10.0.0.1 - - [01/May/2024:12:00:00 +0000] "GET / HTTP/1.1" 502 5 "-" "say \"hi\" \xC3\xA4" 0.003 upstream',
        {
            "level": 17,
            "attributes": {
                "client": "10.0.0.1",
                "method": "GET",
                "path": "/",
                "protocol": "HTTP/1.1",
                "status": 502,
                "bytes": 5,
                "user_agent": 'say "hi" ä',
                "extra": "0.003 upstream",
            },
        },
    ),
    (
        "access",
        'shop.example:443 10.0.0.1 - - [01/May/2024:12:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "-"',
        {
            "attributes": {
                "vhost": "shop.example:443",
                "client": "10.0.0.1",
                "method": "GET",
                "path": "/",
                "protocol": "HTTP/1.1",
                "status": 200,
                "bytes": 5,
            }
        },
    ),
    (
        "access",
        '127.0.0.1 - - [01/May/2024 12:00:00] "GET / HTTP/1.1" 200 -',
        {"timestamp": NOON, "message": "GET / HTTP/1.1 200"},
    ),
    (
        "web-error",
        '2024/05/01 12:00:00 [error] 12#34: *5 open() "/srv/x" failed (2: No such file or directory), client: 10.0.0.1,'
        ' server: _, request: "GET /x?y=1 HTTP/1.1", host: "h:80"',
        {
            "timestamp": NOON,
            "level": 17,
            "attributes": {
                "pid": 12,
                "tid": 34,
                "connection": 5,
                "client": "10.0.0.1",
                "server": "_",
                "method": "GET",
                "path": "/x",
                "query": "y=1",
                "protocol": "HTTP/1.1",
                "vhost": "h:80",
            },
        },
    ),
    (
        "web-error",
        "2024/05/01 12:00:00 [notice] 12#12: start worker process 5",
        {"level": 10, "message": "start worker process 5"},
    ),
    (
        "web-error",
        "[Wed May 01 12:00:00.123456 2024] [core:warn] [pid 7:tid 8] [client 10.0.0.1:99] AH00037: no",
        {
            "timestamp": NOON + 123_456_000,
            "level": 13,
            "logger": "core",
            "message": "AH00037: no",
            "attributes": {"pid": 7, "tid": 8, "client": "10.0.0.1:99"},
        },
    ),
    (
        "valkey",
        "123:M 01 May 2024 12:00:00.123 * Ready to accept connections",
        {
            "timestamp": NOON + 123 * MS,
            "level": 10,
            "message": "Ready to accept connections",
            "attributes": {"pid": 123, "role": "M"},
        },
    ),
    ("valkey", "123:C 01 May 2024 12:00:00.123 # WARNING overcommit", {"level": 13, "message": "WARNING overcommit"}),
    (
        "valkey",
        "123:signal-handler (1714564800) Received SIGTERM",
        {"timestamp": NOON, "level": 13, "message": "Received SIGTERM"},
    ),
    (
        "logfmt",
        'ts=2024-05-01T12:00:00Z level=warn msg="slow \\"query\\"\\n" path=/a ms=12.5 n=42'
        " ok=true id=007 cached trace_id=1",
        {
            "timestamp": NOON,
            "level": 13,
            "message": 'slow "query"\n',
            "trace_id": "1",
            "attributes": {"path": "/a", "ms": 12.5, "n": 42, "ok": True, "id": "007", "cached": True},
        },
    ),
    (
        "logfmt",
        'at=info method=GET path="/a b" status=200',
        {"attributes": {"at": "info", "method": "GET", "path": "/a b", "status": 200}},
    ),
    (
        "python",
        "2024-05-01 12:00:00,123 - app.db - ERROR - lost - really",
        {"timestamp": NOON + 123 * MS, "level": 17, "logger": "app.db", "message": "lost - really"},
    ),
    (
        "python",
        "2024-05-01 12:00:00,123 - WARNING - app - careful",
        {"level": 13, "logger": "app", "message": "careful"},
    ),
    (
        "python",
        "2024-05-01 12:00:00,123 INFO app.db: hello: you",
        {"level": 9, "logger": "app.db", "message": "hello: you"},
    ),
    ("python", "2024-05-01 12:00:00,123 [INFO] app.db: hello", {"level": 9, "logger": "app.db", "message": "hello"}),
    ("python", "2024-05-01 12:00:00,123 app.db DEBUG hello", {"level": 5, "logger": "app.db", "message": "hello"}),
    ("python", "2024-05-01 12:00:00,123 [INFO] hello you", {"level": 9, "message": "hello you"}),
    ("python", "2024-05-01 12:00:00,123 | CRITICAL | hello", {"level": 21, "message": "hello"}),
    (
        "python",
        "[2024-05-01 12:00:00,123] ERROR in views: Exception on / [GET]",
        {"level": 17, "logger": "views", "message": "Exception on / [GET]"},
    ),
    (
        "python",
        "[2024-05-01 12:00:00 +0000] [7] [INFO] Listening at: http://127.0.0.1:8000 (7)",
        {"timestamp": NOON, "level": 9, "message": "Listening at: http://127.0.0.1:8000 (7)", "attributes": {"pid": 7}},
    ),
    (
        "python",
        "[2024-05-01 12:00:00,123: WARNING/ForkPoolWorker-2] Task t[id] raised",
        {
            "timestamp": NOON + 123 * MS,
            "level": 13,
            "message": "Task t[id] raised",
            "attributes": {"process": "ForkPoolWorker-2"},
        },
    ),
    (
        "python",
        "2024-05-01 12:00:00.123 | INFO     | app.web:serve:12 - hello",
        {"level": 9, "logger": "app.web", "message": "hello", "attributes": {"function": "serve", "line": 12}},
    ),
    (
        "python",
        "INFO 2024-05-01 12:00:00,123 views 7 139 hello",
        {"timestamp": NOON + 123 * MS, "level": 9, "message": "views 7 139 hello"},
    ),
    (
        "python",
        "[I 2024-05-01 12:00:00.123 ServerApp] hello",
        {"timestamp": NOON + 123 * MS, "level": 9, "logger": "ServerApp", "message": "hello"},
    ),
    (
        "python",
        "[E 240501 12:00:00 web:2271] 500 GET /",
        {"timestamp": NOON, "level": 17, "logger": "web:2271", "message": "500 GET /"},
    ),
    (
        "python",
        "2024-05-01 12:00:00.123  INFO 123 --- [nio-8080-exec-1] c.example.Shop   : started",
        {
            "level": 9,
            "logger": "c.example.Shop",
            "message": "started",
            "attributes": {"pid": 123, "thread": "nio-8080-exec-1"},
        },
    ),
    (
        "python",
        "2024-05-01 12:00:00.123 [main] WARN  c.example.Shop - careful",
        {"level": 13, "logger": "c.example.Shop", "message": "careful", "attributes": {"thread": "main"}},
    ),
    (
        "python",
        "I0501 12:00:00.123456    7 server.go:12] hello",
        {
            "timestamp": NOON + 123_456_000,
            "level": 9,
            "logger": "server.go",
            "message": "hello",
            "attributes": {"line": 12, "thread": 7},
        },
    ),
    (
        "python",
        '2024-05-01 12:00:00.123 UTC [7] ann@shop ERROR:  relation "x" does not exist',
        {
            "timestamp": NOON + 123 * MS,
            "level": 17,
            "message": 'relation "x" does not exist',
            "attributes": {"pid": 7, "user": "ann@shop"},
        },
    ),
    (
        "python",
        "2024-05-01 12:00:00.123 UTC [7] LOG:  database system is ready",
        {"level": 9, "message": "database system is ready"},
    ),
    ("python-basic", "WARNING:app.db:slow: very", {"level": 13, "logger": "app.db", "message": "slow: very"}),
    (
        "python-basic",
        'INFO:     10.0.0.1:5000 - "GET /a?b=1 HTTP/1.1" 404 Not Found',
        {
            "level": 9,
            "message": '10.0.0.1:5000 - "GET /a?b=1 HTTP/1.1" 404 Not Found',
            "attributes": {"client": "10.0.0.1", "method": "GET", "path": "/a", "query": "b=1", "status": 404},
        },
    ),
    (
        "dated",
        "2024-05-01 12:00:00 status installed libc6:amd64 2.36",
        {"timestamp": NOON, "level": 9, "message": "status installed libc6:amd64 2.36"},
    ),
    (
        "dated",
        "update-alternatives 2024-05-01 12:00:00: run with --install /usr/bin/x",
        {"timestamp": NOON, "logger": "update-alternatives", "message": "run with --install /usr/bin/x"},
    ),
    ("dated", "1714564800.250 10.0.0.1 TCP_HIT/200", {"timestamp": NOON + 250 * MS, "message": "10.0.0.1 TCP_HIT/200"}),
    (
        "dated",
        "May 01, 2024 12:00:00 PM com.example.Main main",
        {"timestamp": NOON, "message": "com.example.Main main"},
    ),
    ("plain", "just some words", {"timestamp": NOW, "level": 9, "message": "just some words"}),
    ("plain", "fatal: not a git repository", {"level": 21, "message": "fatal: not a git repository"}),
    ("plain", "Error: ENOENT, no such file", {"level": 17, "message": "Error: ENOENT, no such file"}),
    ("plain", "[warn] careful", {"level": 13, "message": "careful"}),
    ("plain", "<error> broken", {"level": 17, "message": "broken"}),
    ("plain", "ERROR broken", {"level": 17, "message": "broken"}),
]
