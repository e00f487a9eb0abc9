"""The ids of the request at hand go with what `requests` and `httpx` send, and only then and there."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests

from monitoring import bind, contextual
from monitoring.producers import propagate
from monitoring.producers.propagate import headers, instrument, uninstrument
from monitoring.producers.testing import capture
from monitoring.producers.work import Work
from tests.producers.support import SPAN, TRACE, TRACEPARENT, serving_wsgi

Headers = dict[str, str]
NAMES = ("X-Request-ID", "traceparent", "tracestate")


class Called:
    """A server that keeps the headers of what it is asked, and redirects where it is told."""

    def __init__(self) -> None:
        self.seen: list[Headers] = []
        self.url = ""
        self.other = ""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        """Serve a request."""
        found = {name: environ.get(f"HTTP_{name.upper().replace('-', '_')}", "") for name in NAMES}
        self.seen.append({name: value for name, value in found.items() if value})
        if environ["PATH_INFO"] == "/away":
            start_response("302 Found", [("Location", f"{self.other}/there"), ("Content-Length", "0")])
            return [b""]
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]


@pytest.fixture
def called() -> Iterator[Called]:
    app = Called()
    with serving_wsgi(app) as url:
        app.url = url
        app.other = url.replace("127.0.0.1", "localhost")
        yield app
    uninstrument()


@pytest.fixture
def work() -> Iterator[Work]:
    """Within a request that continues a caller's."""
    work = Work("order-7", TRACEPARENT.replace("-01", "-00"), "vendor=1")
    token = work.enter()
    yield work
    work.leave(token)


def by_requests(url: str, sent: Headers | None = None) -> None:
    requests.get(url, headers=sent, timeout=20)


def by_a_session(url: str, sent: Headers | None = None) -> None:
    with requests.Session() as session:
        session.get(url, headers=sent, timeout=20)


def by_httpx(url: str, sent: Headers | None = None) -> None:
    httpx.get(url, headers=sent, follow_redirects=True)


def by_async_httpx(url: str, sent: Headers | None = None) -> None:
    async def call() -> None:
        async with httpx.AsyncClient() as client:
            await client.get(url, headers=sent, follow_redirects=True)

    asyncio.run(call())


CLIENTS = [by_requests, by_a_session, by_httpx, by_async_httpx]


@pytest.mark.parametrize("call", CLIENTS)
def test_ids_are_carried_on(called, work, call):
    instrument()
    call(called.url)
    request_id, trace_id, span_id = work.ids
    assert called.seen == [
        {"X-Request-ID": request_id, "traceparent": f"00-{trace_id}-{span_id}-00", "tracestate": "vendor=1"}
    ]
    assert (request_id, trace_id) == ("order-7", TRACE)
    assert span_id != SPAN


@pytest.mark.parametrize("call", CLIENTS)
def test_what_the_application_sets_itself_wins(called, work, call):
    instrument()
    call(called.url, {"x-request-id": "own", "Traceparent": "own too"})
    assert called.seen == [{"X-Request-ID": "own", "traceparent": "own too"}]


@pytest.mark.parametrize("call", CLIENTS)
def test_outside_of_a_request_nothing_is_added(called, call):
    instrument()
    call(called.url)
    assert called.seen == [{}]


@pytest.mark.parametrize("call", CLIENTS)
def test_only_the_hosts_that_are_allowed_get_them_also_after_a_redirect(called, work, call):
    instrument(hosts=("127.0.0.1", "*.internal"))
    call(f"{called.url}/away")
    assert [set(seen) for seen in called.seen] == [set(NAMES), set()]
    called.seen.clear()
    call(f"{called.other}/there")
    assert called.seen == [{}]
    instrument()
    call(f"{called.url}/away")
    assert [set(seen) for seen in called.seen[1:]] == [set(NAMES), set(NAMES)]


@pytest.mark.parametrize(
    ("host", "fits"), [("api.internal", True), ("a.b.internal", True), ("internal", False), ("notinternal", False)]
)
def test_a_star_stands_for_all_hosts_below(host, fits):
    assert propagate._fits(host, ("*.internal",)) is fits


def test_it_can_be_undone_and_done_again(called, work):
    untouched = requests.Session.send, httpx.Client._send_single_request, httpx.AsyncClient._send_single_request
    instrument()
    instrument()
    assert requests.Session.send is not untouched[0]
    uninstrument()
    uninstrument()
    assert untouched == (
        requests.Session.send,
        httpx.Client._send_single_request,
        httpx.AsyncClient._send_single_request,
    )
    by_requests(called.url)
    instrument()
    by_requests(called.url)
    assert [set(seen) for seen in called.seen] == [set(), set(NAMES)]


def test_who_stands_in_front_of_us_is_not_pushed_away(called, work, monkeypatch):
    instrument()
    ours: Any = requests.Session.send

    def theirs(self: Any, *args: Any, **kwargs: Any) -> Any:
        return ours(self, *args, **kwargs)

    monkeypatch.setattr(requests.Session, "send", theirs)
    uninstrument()
    assert requests.Session.send is theirs
    by_requests(called.url)
    assert called.seen == [{}]
    monkeypatch.setattr(requests.Session, "send", ours.__wrapped__)


def test_headers_for_other_clients(work):
    assert headers() == {
        "X-Request-ID": "order-7",
        "traceparent": f"00-{TRACE}-{work.ids[2]}-00",
        "tracestate": "vendor=1",
    }


def test_ids_of_another_kind_that_the_application_has_bound_are_not_passed_off_as_a_trace():
    assert headers() == {}
    with contextual(request_id="a b", trace_id="1234", span_id="x"):
        assert headers() == {}
    with contextual(request_id="mine", trace_id="ab" * 16, span_id="cd" * 8):
        assert headers() == {"X-Request-ID": "mine", "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}


def test_another_trace_bound_within_the_request_does_not_take_its_state_along(work):
    with contextual(trace_id="ab" * 16):
        assert headers()["traceparent"].endswith("-01")
        assert "tracestate" not in headers()


def test_a_request_that_cannot_be_given_headers_is_sent_as_it_is(called, work, capfd):
    instrument()
    with capture(), requests.Session() as session:
        prepared = session.prepare_request(requests.Request("GET", called.url))
        prepared.headers = None  # type: ignore[assignment]
        assert session.send(prepared, timeout=20).text == "ok"
    assert called.seen == [{}]
    assert "ids could not be carried on" in capfd.readouterr().err


SCRIPT = """
    import sys
    from monitoring.producers.propagate import instrument, uninstrument
    from monitoring.producers.work import Work
    {before}
    instrument()
    {after}
    import httpx, requests, rq
    assert type(requests.__spec__.loader).__name__ == "SourceFileLoader"
    assert "exec_module" not in vars(requests.__spec__.loader)
    for method in (requests.Session.send, httpx.Client._send_single_request, rq.job.Job.perform):
        assert hasattr(method, "__wrapped__"), method
    uninstrument()
    for method in (requests.Session.send, httpx.Client._send_single_request, rq.job.Job.perform):
        assert not hasattr(method, "__wrapped__"), method
    assert not [finder for finder in sys.meta_path if type(finder).__module__.startswith("monitoring")]
    print("fine")
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import httpx, requests, rq", ""),
        ("", "assert not {'requests', 'httpx', 'rq'} & sys.modules.keys()"),
        ("import requests", "assert not {'httpx', 'rq'} & sys.modules.keys()"),
        ("", "import importlib.util; importlib.util.find_spec('requests')"),
        ("", "from rq.job import Job"),
    ],
)
def test_libraries_may_be_imported_before_or_after_and_are_not_imported_by_us(before, after):
    script = textwrap.dedent(SCRIPT).replace("{before}", before).replace("{after}", after)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("fine", "")


def test_bound_fields_do_not_travel(called, work):
    instrument()
    bind(secret="x")
    by_requests(called.url)
    assert set(called.seen[0]) == set(NAMES)
