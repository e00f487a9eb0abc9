"""Attacks through what people may send: nothing crashes, nothing runs, nothing is told that should not be.

`MONITORING_TEST_ATTACKS` is the number of mutated inputs (the long form: a million).
"""

from __future__ import annotations

import os
import random
from typing import Any
from urllib.parse import quote

import pytest

from monitoring.api.app import ROUTES
from monitoring.api.params import Fields
from tests.api.test_mutations import PARSERS
from tests.api.test_routes import MATRIX
from tests.frames import Sender, event
from tests.instance import Instance

MUTATIONS = int(os.environ.get("MONITORING_TEST_ATTACKS", "1500"))

INJECTIONS = [
    "'", "''", '"', "' OR '1'='1", "1; DROP TABLE log; --", "x' UNION SELECT hash FROM key --", "\\'; SELECT 1; --",
    "%27%20OR%201=1", "') OR ('1'='1", "log MATCH 'x'", "x*", "^x", "NEAR(a b, 1000000000)", "a AND OR NOT", "{a b}: c",
    "col:val:val", '"unterminated', "-", "--", "NOT", "()", "(" * 500, ")" * 500, "a OR " * 400 + "a", "*" * 1000,
    "message:/(a+)+$/", "message:/(((((((((a){100}){100}){100}){100})))))/", "message:/[/", "message:/\\1/",
    "message:/(?=a)/", "message:/" + "a?" * 2000 + "/", "user_id:>1e999", "user_id:1..", "user_id:NaN", "x:\x00",
    "\x00", "\ue000s1", "\ue001", "\ud800", "a\r\nSet-Cookie: x=y", "${jndi:ldap://x/y}", "{{7*7}}", "../../etc/passwd",
    "file:///etc/passwd",
    "attributes->>'$.x'", "json_extract(attributes, '$')", "level:>=", "has:", "service:(", "\u202eabc", "\u5b57" * 300,
]  # fmt: skip
SCRIPTS = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "javascript:alert(1)",
    "</script><svg onload=alert(1)>",
    "\u2028alert(1)\u2029", "<!--", "]]>", "=cmd|' /C calc'!A0",
]  # fmt: skip


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_JSON, _PROTO = {"Content-Type": "application/json"}, {"Content-Type": "application/x-protobuf"}
PROTOCOLS = [
    ("otlp logs", "/v1/logs", _PROTO),
    ("otlp logs json", "/v1/logs", _JSON),
    ("otlp traces", "/v1/traces", _PROTO),
    ("otlp traces json", "/v1/traces", _JSON),
    ("otlp metrics", "/v1/metrics", _PROTO),
    ("otlp metrics json", "/v1/metrics", _JSON),
    ("loki json", "/loki/api/v1/push", _JSON),
    ("loki snappy", "/loki/api/v1/push", _PROTO),
    ("remote write", "/prometheus/api/v1/write", {**_PROTO, "Content-Encoding": "snappy"}),
    ("metrics", "/api/v1/metrics", {}),
    ("raw", "/api/v1/ingest/raw", {}),
    ("gzip", "/api/v1/ingest/raw", {"Content-Encoding": "gzip"}),
]
"""Parsers of test_mutations.py, and where they are reached."""


def reading() -> list[tuple[str, tuple[str, ...]]]:
    """Addresses that read, with their parameters; not the one that never ends."""
    return [
        (MATRIX[route.method, route.path][1].partition("?")[0], route.params)
        for route in ROUTES
        if route.method == "GET" and route.params and not route.path.endswith("/tail") and route.role
    ]


def test_injections_into_every_parameter_are_questions_or_mistakes_and_nothing_else(instance: Instance) -> None:
    with instance.draining():
        instance.post(b'{"message":"kept","service":"s","user_id":1}')
        assert instance.messages(1) == ["kept"]
    keys = len(instance.get("/api/v1/keys")["keys"])
    for address, params in reading():
        for name in params:
            for attack in INJECTIONS if name == "query" else INJECTIONS[::4]:
                text = quote(attack.encode("utf-8", "surrogatepass"))
                answer = instance.call("GET", f"{address}?{name}={text}")
                assert answer.status_code in (200, 400, 404), (address, name, attack, answer.text)
                assert "Set-Cookie" not in answer.headers
                assert "sqlite" not in answer.text.lower()
                assert "Traceback" not in answer.text
                answer.close()
    assert instance.messages(1) == ["kept"]
    assert len(instance.get("/api/v1/keys")["keys"]) == keys


def test_tricks_in_the_path_find_nothing(instance: Instance) -> None:
    for route in ROUTES:
        if "<" not in route.path:
            continue
        for attack in (*INJECTIONS[:20], "..%2f..%2fcontrol.db", "%00", "%0d%0aX-Evil:%201", "a" * 5000, ".", "%2e%2e"):
            head = route.path.partition("<")[0]
            raw = attack if attack.startswith(("%", "..")) else quote(attack, safe="")
            answer = instance.call(route.method, f"{head}{raw}{route.path.partition('>')[2]}", json={"query": "x"})
            assert answer.status_code in (200, 308, 400, 404, 405), (route.path, attack, answer.status_code)
            assert "X-Evil" not in answer.headers


BODIES = [
    b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    b"", b"null", b"1", b'"x"', b"{", b'{"name":', b"\xff\xfe", b"\x00" * 1000, b'{"name":"\\ud800"}',
    b'{"name":1e999}', b'{"name":' + b"9" * 10_000 + b"}", b'{"name":"x","name":"y"}', b'{"__proto__":{}}',
    b'{"name":"' + b"x" * 200_000 + b'"}',
]  # fmt: skip


def test_bodies_that_are_deep_large_or_no_json_are_refused_by_every_address(instance: Instance) -> None:
    for body in BODIES:
        for route in ROUTES:
            if not isinstance(route.body, Fields):
                continue
            address = MATRIX[route.method, route.path][1]
            answer = instance.call(route.method, address, data=body)
            allowed = (200, 202, 400, 404, 413) if route.body.optional else (400, 404, 413)
            assert answer.status_code in allowed, (route.path, body[:20], answer.status_code)
        answer = instance.call("POST", "/api/v1/logs", data=body)
        assert answer.status_code in (202, 400, 413), body[:20]


def test_scripts_in_every_field_come_back_as_inert_json(instance: Instance) -> None:
    lines = []
    for script in SCRIPTS:
        fields = ("message", "service", "logger", "host", "environment", "release", "trace_id", "span_id", "request_id")
        lines.append(
            {**dict.fromkeys(fields, script), script: script, "exception": {"type": script, "message": script}}
        )
    with instance.draining():
        assert instance.call("POST", "/api/v1/logs", json=lines).json == {"accepted": len(lines), "rejected": []}
        assert sorted(instance.messages(len(lines))) == sorted(SCRIPTS)
    for address in ("/api/v1/logs", "/api/v1/logs/facets?fields=service,logger", "/api/v1/logs/patterns",
                    "/api/v1/status", "/api/v1/logs/stats?group_by=service", "/api/v1/overview", "/api/v1/logs/export",
                    "/api/v1/logs/export?format=csv", "/metrics"):  # fmt: skip
        answer = instance.call("GET", address)
        assert answer.status_code == 200
        assert answer.mimetype in ("application/json", "application/x-ndjson", "text/csv", "text/plain"), address
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "script-src" not in answer.headers["Content-Security-Policy"]


def test_a_name_in_an_error_cannot_break_out_of_the_document(instance: Instance) -> None:
    for script in SCRIPTS:
        answer = instance.call("GET", f"/api/v1/logs?{quote(script)}=1")
        assert answer.mimetype == "application/problem+json"
        assert answer.status_code == 400


@pytest.mark.timeout(7200)
def test_mutated_inputs_crash_no_parser(instance: Instance) -> None:
    """Bytes are flipped, cut, doubled and put together in good bodies of every kind, from a seed that is printed."""
    seed = int(os.environ.get("MONITORING_TEST_SEED", "7"))
    chosen = random.Random(seed)
    frame = Sender("0" * 32, created=1).frame([event(1), event(2)]).to_record()
    address = "/api/v1/frames?signal=logs&partition=0&lane=" + "0" * 32
    good: list[tuple[str, str, bytes, dict[str, str]]] = [
        ("POST", "/api/v1/logs", b'{"message":"a","ts":1700000000,"x":{"y":[1,2.5,null,"\\u00e9"]}}\n{"msg":"b"}', {}),
        ("POST", "/api/v1/logs", b'[{"message":"a"},{"message":"b","level":"error"}]', {}),
        ("POST", "/api/v1/logs", b"\x1f\x8b\x08\x00" + bytes(20), {"Content-Encoding": "gzip"}),
        ("POST", "/api/v1/logs", b"(\xb5/\xfd" + bytes(20), {"Content-Encoding": "zstd"}),
        ("POST", address, frame, {}),
        ("PUT", address, b'{"emitted":1,"dropped":{},"service":"s","closed":true}', {}),
        ("POST", "/api/v1/keys", b'{"name":"x","role":"nobody","expires_seconds":1}', {}),
        ("POST", "/api/v1/session", b'{"key":"mon_a_b"}', {}),
        *(("POST", where, PARSERS[name][0], headers) for name, where, headers in PROTOCOLS),
        ("POST", "/prometheus/api/v1/query", b"query=rate(a_total%5B5m%5D)&time=1700000000", FORM),
        ("POST", "/prometheus/api/v1/query_range", b"query=up&start=1700000000&end=1700000600&step=15", FORM),
        ("POST", "/api/v1/rules/test", b'{"name":"r","kind":"logs","query":"x","window":"5m","threshold":1}', {}),
    ]
    queries = [
        "level:>=error service:(a OR b)",
        'message:/a+b/ "x y" -z',
        "duration_ms:100..500 has:exception",
        "path:/a/*",
    ]
    for number in range(MUTATIONS):
        if number % 4 == 0:
            text = mutated(chosen, chosen.choice(queries).encode())
            answer = instance.call("GET", f"/api/v1/logs?query={quote(text)}")
        else:
            method, where, body, headers = chosen.choice(good)
            answer = instance.call(method, where, data=mutated(chosen, body), headers=headers)
        assert answer.status_code < 500 or answer.status_code == 503, (seed, number, answer.text)


def mutated(chosen: random.Random, data: bytes) -> bytes:
    found = bytearray(data)
    for _ in range(chosen.randint(1, 4)):
        at, end = sorted((chosen.randrange(len(found) + 1), chosen.randrange(len(found) + 1)))
        change: list[Any] = [
            lambda at=at: found.insert(at, chosen.randrange(256)),
            lambda at=at, end=end: found.__delitem__(slice(at, end)),
            lambda at=at, end=end: found.__setitem__(slice(at, at), found[at:end]),
            lambda at=at: found.__setitem__(slice(at, at + 1), bytes([chosen.randrange(256)])),
            lambda at=at: found.__setitem__(
                slice(at, at), chosen.choice([b'"', b"\\", b"{", b"[", b"\x00", b"\xff", b"9" * 30])
            ),
        ]
        chosen.choice(change)()
    return bytes(found)


def test_a_frame_that_claims_to_be_huge_is_refused(instance: Instance) -> None:
    record = bytearray(Sender("0" * 32, created=1).frame([event(1)]).to_record())
    for at in range(0, min(len(record), 64), 4):
        forged = record.copy()
        forged[at : at + 4] = b"\xff\xff\xff\x7f"
        answer = instance.call("POST", "/api/v1/frames?signal=logs&partition=0&lane=" + "0" * 32, data=bytes(forged))
        assert answer.status_code in (202, 400)
