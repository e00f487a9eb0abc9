"""What web servers write: access logs in the common and combined format, and error logs of nginx and Apache.

    203.0.113.9 - ann [10/Oct/2024:13:55:36 -0700] "GET /a?b=1 HTTP/1.1" 200 2326 "https://…" "curl/8" …
    2024/10/10 13:55:36 [error] 12#34: *5 open() "/x" failed (2: No such file or directory), client: …
    [Thu Oct 10 13:55:36.123456 2024] [core:error] [pid 12:tid 34] [client 203.0.113.9:5] AH00037: …

The level of an access line is that of its status: 5xx ERROR, 4xx WARNING, else INFO.
"""

from __future__ import annotations

import re
from typing import Any

from monitoring.pipeline.events import levels
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.events.formats.format import make_event, number
from monitoring.pipeline.events.lenient import UNSAID, Defaults
from monitoring.pipeline.events.timestamps import leading

__all__ = ["parse_access", "parse_error", "request_attributes", "uvicorn_attributes"]

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_ACCESS = re.compile(
    rf"(?:(?P<vhost>[^\s\"\[]+:\d+) )?(?P<client>[^\s\"\[]+) (?P<ident>[^\s\"\[]+) (?P<user>[^\[\"]{{1,256}}?) "
    rf"\[(?P<time>[^\]]{{18,40}})\] {_QUOTED} (?P<status>\d{{3}}|-)(?: (?P<bytes>\d+|-))?(?P<rest>.*)",
    re.DOTALL,
)
_REST = re.compile(rf" {_QUOTED} {_QUOTED}(.*)", re.DOTALL)
_REQUEST = re.compile(r"([A-Z][A-Z_-]{1,19}) (\S+)(?: (HTTP/[\d.]+))?")
_UVICORN = re.compile(r'(\S+?):(\d+) - "([A-Z]+) (\S+) HTTP/[\d.]+" (\d{3})')
_NGINX_ERROR = re.compile(r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(\w+)\] (\d+)#(\d+): (?:\*(\d+) )?(.*)", re.DOTALL)
_APACHE_ERROR = re.compile(
    r"\[(\w{3} \w{3} \d\d \d\d:\d\d:\d\d(?:\.\d+)? \d{4})\] \[(?:(\w*):)?(\w+)\] "
    r"(?:\[pid (\d+)(?::tid (\d+))?\] )?(?:\[client ([^\]]+)\] )?(.*)",
    re.DOTALL,
)
_CONTEXT = re.compile(r', (client|server|request|upstream|host|referrer|subrequest): (?:"((?:[^"\\]|\\.)*)"|([^,"]*))')
_BYTE = re.compile(r"(?:\\x[0-9A-Fa-f]{2})+")


def parse_access(text: str, defaults: Defaults) -> Event | None:
    """The event of an access line."""
    match = _ACCESS.match(text)
    if match is None:
        return None
    found = leading(match["time"], defaults.zone, defaults.reference_ns)
    if found is None or found.end != len(match["time"]):
        return None
    request, status = _unescape(match[6]), match["status"]
    attributes: dict[str, Any] = {"client": match["client"]}
    for name in ("vhost", "ident", "user"):
        if match[name] not in (None, "-"):
            attributes[name] = match[name]
    attributes |= request_attributes(request)
    if status != "-":
        attributes["status"] = int(status)
    if match["bytes"] not in (None, "-"):
        attributes["bytes"] = number(match["bytes"])
    attributes |= _combined(match["rest"])
    return make_event(
        defaults, f"{request} {status}", timestamp=found.ns, level=_level_of_status(status), attributes=attributes
    )


def request_attributes(request: str) -> dict[str, Any]:
    """Method, path, query and protocol of a request line; nothing where it is none (a probe's bytes)."""
    match = _REQUEST.fullmatch(request)
    if match is None:
        return {}
    path, question, query = match[2].partition("?")
    attributes: dict[str, Any] = {"method": match[1], "path": path}
    if question:
        attributes["query"] = query
    if match[3]:
        attributes["protocol"] = match[3]
    return attributes


def parse_error(text: str, defaults: Defaults) -> Event | None:
    """The event of a line of nginx's or Apache's error log."""
    match = _NGINX_ERROR.match(text)
    if match is not None:
        return _nginx_error(match, defaults)
    match = _APACHE_ERROR.match(text)
    if match is None:
        return None
    time, module, level, pid, tid, client, message = match.groups()
    found = leading(time, defaults.zone, defaults.reference_ns)
    if found is None:
        return None
    pairs = {"pid": number(pid or ""), "tid": number(tid or ""), "client": client}
    return make_event(
        defaults,
        message,
        timestamp=found.ns,
        level=levels.parse(re.sub(r"\d$", "", level)) or UNSAID,
        logger=module or "",
        attributes={name: value for name, value in pairs.items() if value},
    )


def _nginx_error(match: re.Match[str], defaults: Defaults) -> Event | None:
    time, level, pid, tid, connection, message = match.groups()
    found = leading(time, defaults.zone, defaults.reference_ns)
    if found is None:
        return None
    attributes: dict[str, Any] = {"pid": int(pid), "tid": int(tid)}
    if connection:
        attributes["connection"] = int(connection)
    for name, quoted, bare in _CONTEXT.findall(message):
        value = _unescape(quoted) or bare
        attributes |= request_attributes(value) if name == "request" else {"vhost" if name == "host" else name: value}
    return make_event(defaults, message, timestamp=found.ns, level=levels.parse(level) or UNSAID, attributes=attributes)


def _combined(rest: str) -> dict[str, Any]:
    """Referrer, user agent and what a server's own format adds behind them."""
    match = _REST.match(rest)
    if match is None:
        return {"extra": rest.strip()} if rest.strip() else {}
    values = {"referrer": _unescape(match[1]), "user_agent": _unescape(match[2]), "extra": match[3].strip()}
    return {name: value for name, value in values.items() if value not in ("", "-")}


def _level_of_status(status: str) -> int:
    return 17 if status[0] == "5" else 13 if status[0] == "4" else levels.DEFAULT_LEVEL


def _unescape(text: str) -> str:
    """The text that a server wrote with \\x22 (nginx) or \\" (Apache)."""
    if "\\" not in text:
        return text
    text = _BYTE.sub(lambda match: bytes.fromhex(match[0].replace("\\x", "")).decode("utf-8", "backslashreplace"), text)
    return text.replace('\\"', '"')


def uvicorn_attributes(message: str) -> dict[str, Any]:
    """Client, method, path and status of uvicorn's access line `host:port - "GET / HTTP/1.1" 200 OK`."""
    match = _UVICORN.match(message)
    if match is None:
        return {}
    return {"client": match[1], **request_attributes(f"{match[3]} {match[4]}"), "status": int(match[5])}
