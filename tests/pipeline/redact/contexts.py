"""Where secrets stand in logs: for each place, the text that is logged and how it is redacted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import orjson

from monitoring.pipeline.events.event import Event
from monitoring.pipeline.redact import Redactor

__all__ = ["BY_NAME", "BY_SHAPE", "leaks"]

Redact = Callable[[Redactor, str], str]


def _message(text: str) -> Redact:
    return lambda redactor, secret: _event(redactor, message=text.replace("{}", secret))


def _attributes(build: Callable[[str], Any]) -> Redact:
    return lambda redactor, secret: _event(redactor, attributes=orjson.dumps(build(secret)).decode())


def _exception(build: Callable[[str], Any]) -> Redact:
    return lambda redactor, secret: _event(redactor, exception=orjson.dumps(build(secret)).decode())


def _event(redactor: Redactor, **fields: str) -> str:
    """Through the path that events take, beside clean ones; the JSON in it must stay JSON."""
    clean = Event(1, 9, "api", message="served in 12 ms", attributes='{"status":200}')
    event = redactor.events([clean, Event(1, 9, "api", **fields), clean])[1]
    for text in filter(None, (event.attributes, event.exception)):
        orjson.loads(text)
    return event.message + event.attributes + event.exception


_TRACE = 'Traceback (most recent call last):\n  File "/app/client.py", line 42, in send\n    self.push(data)\n'

BY_SHAPE: dict[str, Redact] = {
    "alone": _message("{}"),
    "in a sentence": _message("request with {} was refused by the upstream"),
    "at the end": _message("cannot log in with {}"),
    "quoted": _message("bad value '{}' given"),
    "in parentheses": _message("refused ({}) after 3 tries"),
    "logfmt": _message("level=info value={} took=12ms"),
    "environment": _message("HOME=/root\nSOME_VALUE={}\nLANG=C"),
    "after a newline as repr": _message("b'line\\n{}\\nnext'"),
    "coloured": _message("\x1b[31m{}\x1b[0m done"),
    "repr": _message("Client(host='a', value='{}', retries=3)"),
    "curl": _message('curl -sS -H "X-Thing: {}" https://api.example.com/v1'),
    "attribute": _attributes(lambda secret: {"user": 7, "note": secret}),
    "nested": _attributes(lambda secret: {"a": {"b": [{"c": f"see {secret} there"}]}}),
    "in a list": _attributes(lambda secret: {"values": ["x", secret, "y"]}),
    "as a key": _attributes(lambda secret: {"seen": {secret: 1}}),
    "JSON in JSON": _attributes(lambda secret: {"body": orjson.dumps({"value": secret}).decode()}),
    "in a trace": _exception(lambda secret: _TRACE + f"ValueError: unexpected {secret}"),
    "in an exception object": _exception(lambda secret: {"type": "E", "frames": [{"locals": {"x": repr(secret)}}]}),
    "value": lambda redactor, secret: str(redactor.value({"x": ["a", (secret,)]})),
    "header": lambda redactor, secret: str(redactor.headers([("X-Thing", secret.replace("\n", " "))])),
}  # fmt: skip
"""Places for secrets that are told by their shape."""

BY_NAME: dict[str, Callable[[Redactor, str, str], str]] = {
    "equals": lambda redactor, name, value: _event(redactor, message=f"connect {name}={value} host=db"),
    "colon": lambda redactor, name, value: _event(redactor, message=f"{name}: {value}"),
    "spaced": lambda redactor, name, value: _event(redactor, message=f"  {name} = {value}\n  host = db"),
    "quoted": lambda redactor, name, value: _event(redactor, message=f'{name}="{value}" host="db"'),
    "environment": lambda redactor, name, value: _event(redactor, message=f"export {name}={value}\nexport LANG=C"),
    "repr": lambda redactor, name, value: _event(redactor, message=f"Config(host='db', {name}={value!r}, port=1)"),
    "dict": lambda redactor, name, value: _event(redactor, message=str({"host": "db", name: value, "port": 1})),
    "JSON text": lambda redactor, name, value: _event(redactor, message=orjson.dumps({"h": 1, name: value}).decode()),
    "pair": lambda redactor, name, value: _event(redactor, message=str([("host", "db"), (name, value)])),
    "bytes": lambda redactor, name, value: _event(redactor, message=str([(name.encode(), value.encode())])),
    "option": lambda redactor, name, value: _event(redactor, message=f"run --{name} {value} --verbose"),
    "option with equals": lambda redactor, name, value: _event(redactor, message=f"run --{name}={value} --verbose"),
    "XML": lambda redactor, name, value: _event(redactor, message=f"<c><{name}>{value}</{name}><b>1</b></c>"),
    "connection string": lambda redactor, name, value: _event(redactor, message=f"Server=db;{name}={value};Timeout=30"),
    "address": lambda redactor, name, value: _event(
        redactor, message=f"GET https://x.example/a?b=1&{name}={quote(value)}&c=2 200"),
    "attribute": lambda redactor, name, value: _event(
        redactor, attributes=orjson.dumps({"a": {"b": {name: value}}, "c": 1}).decode()),
    "list of pairs": lambda redactor, name, value: _event(
        redactor, attributes=orjson.dumps({"headers": [["host", "db"], [name, value]]}).decode()),
    "name and value": lambda redactor, name, value: _event(
        redactor, attributes=orjson.dumps({"env": [{"name": name, "value": value}]}).decode()),
    "list of arguments": lambda redactor, name, value: _event(
        redactor, attributes=orjson.dumps({"argv": ["run", f"--{name}", value]}).decode()),
    "JSON in JSON": lambda redactor, name, value: _event(
        redactor, attributes=orjson.dumps({"body": orjson.dumps({name: value}).decode()}).decode()),
    "trace": lambda redactor, name, value: _event(
        redactor, exception=orjson.dumps(_TRACE + f"ValueError: bad config {{'{name}': {value!r}}}").decode()),
    "value": lambda redactor, name, value: str(redactor.value({"config": {name: value}})),
    "named value": lambda redactor, name, value: str(redactor.value(value, name)),
    "header": lambda redactor, name, value: str(
        redactor.headers([(name.upper() if {"_", "-"} & set(name) else name, value)])),
    "query": lambda redactor, name, value: redactor.query(f"a=1&{name}={quote(value, safe='')}&b=2"),
    "url": lambda redactor, name, value: redactor.url(f"https://x.example/a?{name}={quote(value, safe='')}#top"),
    "form in JSON": lambda redactor, name, value: _event(
        redactor, attributes=orjson.dumps({"form": f"a=1&{name}={quote(value, safe='')}"}).decode()),
}  # fmt: skip
"""Places for secrets that are told by their name."""

_PIECE = 12
"""So much of a secret in a row counts as leaked."""


def leaks(secret: str, shown: str) -> bool:
    """Whether the secret or a good piece of it can still be read, as it is or as escaped in an address."""
    return any(piece in shown for form in {secret, quote(secret), quote(secret, safe="")} for piece in _pieces(form))


def _pieces(secret: str) -> Iterator[str]:
    yield secret
    for at in range(0, len(secret) - _PIECE + 1, _PIECE) if len(secret) >= 2 * _PIECE else ():
        yield secret[at : at + _PIECE]
