"""What each form of the language finds, example by example: the sentences of docs/search.md."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from monitoring.pipeline.events.event import Event
from tests.frames import event
from tests.logstore import LogStore


def _event(number: int, message: str, *, attributes: Any = None, exception: Any = None, **changes: Any) -> Event:
    return event(number, **{
        "message": message, "logger": "app.web", "trace_id": "", **changes,
        "attributes": orjson.dumps(attributes).decode() if attributes is not None else "",
        "exception": orjson.dumps(exception).decode() if exception is not None else "",
    })  # fmt: skip


EVENTS = {
    "refused": _event(1, "Connection refused by 10.0.0.1:5432", level=17, service="api", environment="prod",
                      trace_id="4bf92f3577b34da6a3ce929d0e0e4736", attributes={"user_id": 42, "path": "/api/v1/users"}),
    "reversed": _event(2, "refused a connection from 10.0.1.0", level=13, service="worker", environment="staging",
                       attributes={"user_id": "42", "path": "/api/v2/users"}),
    "slow": _event(3, "request_time was long", level=10, service="API", release="1.2.3",
                   attributes={"duration_ms": 501.5, "status": 500, "ok": False, "tags": ["slow", "retry 7"]}),
    "fast": _event(4, "request done", level=9, service="api", host="h2",
                   attributes={"duration_ms": 12, "status": 200, "ok": True, "tags": [], "http.method": "GET"}),
    "nested": _event(5, "nested", level=5, service="api", logger="app.db",
                     attributes={"http": {"method": "GET", "headers": {"user-agent": "curl/8"}}, "duration_ms": "700"}),
    "crash": _event(6, "unhandled", level=21, service="api gateway", request_id="req-7",
                    exception={"type": "ValueError",
                               "stack": "File \"app.py\", line 7\n  raise ValueError(\"bad token\")"}),
    "japanese": _event(7, "サーバーへの接続が拒否されました", level=18, service="worker"),
    "accents": _event(8, "Café Straße: naïve 🔥 --> done_", level=1, service="worker"),
    "numbers": _event(9, "numbers", service="worker",
                      attributes={"n": 42.0, "big": 10**16, "small": 1e-7, "huge": 2**64 - 1, "null": None,
                                  "empty": ""}),
    "odd": _event(10, 'he said "hi" \\ there', service="worker",
                  attributes={"weird key": "a*b", "quo\"te": "x\ny", "service": "inner", "message": "shadow"}),
}  # fmt: skip

ALL = set(EVENTS)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LogStore]:
    with LogStore(tmp_path_factory.mktemp("store")) as made:
        found = list(EVENTS.values())
        made.add(found[:5])
        made.roll_over()
        made.add(found[5:])
        yield made


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", "*"),
        ("*", "*"),
        # words
        ("refused", "refused reversed"),
        ("REFUSED", "refused reversed"),
        ("refuse", ""),
        ("connection refused", "refused reversed"),
        ('"connection refused"', "refused"),
        ('"refused connection"', ""),
        ('"CONNECTION: (refused)!"', "refused"),
        ('"refused by 10"', "refused"),
        ("10.0.0.1", "refused"),
        ("10.0.1", "reversed"),
        ("request", "fast"),
        ("request_time", "slow"),
        ("cafe", "accents"),
        ("CAFÉ", "accents"),
        ("strasse", ""),
        ("4bf92f3577b34da6a3ce929d0e0e4736", "refused"),
        ("42", "refused reversed numbers"),
        ("user_id", "refused reversed"),
        ("/api/v1/users", "refused"),
        ("req-7", "crash"),
        ("db", "nested"),
        ("worker", ""),
        # keys, values and the message are texts of their own
        ('"user_id 42"', ""),
        ('"retry 7"', "slow"),
        # wildcards in words
        ("refus*", "refused reversed"),
        ("re*", "refused reversed slow fast crash"),
        ("*fused", "refused reversed"),
        ("r*d", "refused reversed"),
        ("*eque*", "slow fast"),
        ("/api/*", "refused reversed"),
        ("10.0.*.0", "reversed"),
        (r"a\*b", "odd"),
        ('"refus*"', ""),
        # what the tokenizer cannot split, and what is no token at all
        ("接続", "japanese"),
        ("拒否されました", "japanese"),
        ("サーバー", "japanese"),
        ("接続 拒否", "japanese"),
        ("拒接", ""),
        ("🔥", "accents"),
        ('"-->"', "accents"),
        (r"\\", "odd"),
        # within exceptions, escapes are read
        ('"bad token"', "crash"),
        ("raise", "crash"),
        ("exception:valueerror", "crash"),
        ("message:valueerror", ""),
        ("has:exception", "crash"),
        ('exception:"line 7 raise"', "crash"),
        (r"exception:/line \d+\n/", "crash"),
        # levels
        ("level:error", "refused japanese"),
        ("level:ERROR", "refused japanese"),
        ("level:warn", "reversed"),
        ("level:notice", "slow"),
        ("level:info", "slow fast numbers odd"),
        ("level:error2", "japanese"),
        ("level:21", "crash"),
        ("level:critical", "crash"),
        ("level:>=warning", "refused reversed crash japanese"),
        ("level:>warning", "refused crash japanese"),
        ("level:<debug", "accents"),
        ("level:<=debug", "nested accents"),
        ("level:debug..notice", "slow fast nested numbers odd"),
        ("level:(trace OR fatal)", "crash accents"),
        ("level:>fatal", ""),
        ("level:*", "*"),
        ("-level:info", "refused reversed nested crash japanese accents"),
        # dimensions
        ("service:api", "refused fast nested"),
        ("service:API", "slow"),
        ("service:(api OR API)", "refused slow fast nested"),
        ('service:"api gateway"', "crash"),
        ("service:api*", "refused fast nested crash"),
        ("service:/^(api|API)$/", "refused slow fast nested"),
        ("service:absent", ""),
        ("-service:absent", "*"),
        ("host:h2", "fast"),
        ("logger:app.db", "nested"),
        ("logger:app", ""),
        ("logger:app.*", "*"),
        ("environment:prod", "refused"),
        ("has:environment", "refused reversed"),
        ('environment:""', "slow fast nested crash japanese accents numbers odd"),
        ("release:1.2.*", "slow"),
        ("trace_id:4bf92f3577b34da6a3ce929d0e0e4736", "refused"),
        ("trace_id:4bf9*", "refused"),
        ("trace_id:4BF92F3577B34DA6A3CE929D0E0E4736", ""),
        ("has:trace_id", "refused"),
        ("request_id:req-7", "crash"),
        # message
        ("message:refused", "refused reversed"),
        ("message:42", ""),
        ('message:"connection refused"', "refused"),
        ("message:(refused -connection)", ""),
        ("message:/^re.*(ed|one)/", "reversed fast"),
        ("message:/REFUSED/", ""),
        ("message:/(?i)REFUSED/", "refused reversed"),
        ("message:/10\\.0\\.0\\.1:\\d+$/", "refused"),
        # attributes
        ("user_id:42", "refused reversed"),
        ('user_id:"42"', "refused reversed"),
        ("user_id:42.0", "refused"),
        ("user_id:4", ""),
        ("user_id:4*", "refused reversed"),
        ("n:42", "numbers"),
        ("n:4.2e1", "numbers"),
        ("big:1e16", "numbers"),
        ("big:10000000000000000", "numbers"),
        ("small:0.0000001", "numbers"),
        ("huge:18446744073709551615", "numbers"),
        ("huge:>18446744073709551614", ""),
        ("huge:>1e19", "numbers"),
        ("path:/api/v1/users", "refused"),
        ("path:/api/V1/users", ""),
        ("path:/api", ""),
        ("path:/api/*", "refused reversed"),
        ("path:/api/*/users", "refused reversed"),
        ("path:*v2*", "reversed"),
        (r"path:/v[13]\/u/", "refused"),
        ("path:(/api/v1/users OR /api/v2/users)", "refused reversed"),
        ("status:500", "slow"),
        ("duration_ms:>500", "slow nested"),
        ("duration_ms:>=501.5", "slow nested"),
        ("duration_ms:<100", "fast"),
        ("duration_ms:12..501.5", "slow fast"),
        ("duration_ms:600..", "nested"),
        ("duration_ms:..600", "slow fast"),
        ("path:>/api/v1", "refused reversed"),
        ("path:/api/v1..", ""),
        ("ok:true", "fast"),
        ("ok:false", "slow"),
        ("ok:1", ""),
        ("tags:slow", "slow"),
        ('tags:"retry 7"', "slow"),
        ("tags:retry", ""),
        ("has:tags", "slow fast"),
        ("tags:*", "slow fast"),
        ("has:null", ""),
        ("null:null", ""),
        ("has:empty", "numbers"),
        ('empty:""', "numbers"),
        ("http.method:GET", "fast nested"),
        ("http.headers.user-agent:curl/8", "nested"),
        ("http:GET", ""),
        ("has:http", "nested"),
        ('"weird key":"a*b"', "odd"),
        (r'"weird key":a\*b', "odd"),
        ('"quo\\"te":*', "odd"),
        ("service:inner", ""),
        ("attributes.service:inner", "odd"),
        ("attributes.message:shadow", "odd"),
        # operators
        ("refused level:error", "refused"),
        ("refused AND level:error", "refused"),
        ("refused OR request", "refused reversed fast"),
        ("refused level:error OR request", "refused fast"),
        ("refused (level:error OR request)", "refused"),
        ("refused -level:error", "reversed"),
        ("refused NOT level:error", "reversed"),
        ("-(refused OR request)", "slow nested crash japanese accents numbers odd"),
        ("NOT NOT refused", "refused reversed"),
        ("-refused -user_id:42 -level:<=info -level:fatal", "japanese"),
        ("-duration_ms:>500", "refused reversed fast crash japanese accents numbers odd"),
        ("-*", ""),
        ("refused OR -refused", "*"),
    ],
)  # fmt: skip
def test_a_query_finds(store: LogStore, query: str, names: str) -> None:
    expected = ALL if names == "*" else set(names.split())
    by_message = {event.message: name for name, event in EVENTS.items()}
    assert {by_message[message] for message in store.messages(query)} == expected


def test_an_event_is_shown_whole(store: LogStore) -> None:
    (found,) = store.found("path:/api/v1/users")
    assert found.pop("id").endswith("-0-1")
    assert found == {
        "timestamp": "2026-09-21T14:13:20.000001000Z",
        "level": "ERROR",
        "service": "api",
        "environment": "prod",
        "release": "",
        "logger": "app.web",
        "host": "h1",
        "message": "Connection refused by 10.0.0.1:5432",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id": "",
        "request_id": "",
        "attributes": {"user_id": 42, "path": "/api/v1/users"},
        "exception": None,
    }
    (crash,) = store.found("level:fatal")
    assert crash["exception"]["type"] == "ValueError"


def test_more_services_than_travel_one_by_one_are_still_told_apart(tmp_path: Path) -> None:
    with LogStore(tmp_path) as made:
        made.add([event(number, service=f"service-{number:03d}") for number in range(200)])
        assert len(made.found("service:/-0/")) == 100
        assert len(made.found("-service:/-0/ event")) == 100
        assert len(made.found("(service:/-[01]5/ OR environment:x) event")) == 20


def test_no_text_reaches_the_reserved_tokens(store: LogStore) -> None:
    assert store.found("\ue000l4") == [] == store.found("\ue000s1")
