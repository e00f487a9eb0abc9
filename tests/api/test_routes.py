"""What every endpoint goes through: keys, roles, parameters, problem documents, headers."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask

import monitoring.api
from monitoring.api.app import ROUTES, create_app
from monitoring.api.auth import SAFE_METHODS
from monitoring.api.dashboard import STATIC
from monitoring.api.routes import DATA, Route, mount
from monitoring.pipeline import settings
from monitoring.pipeline.store.keys import ROLES
from tests.instance import Instance

FRAMES = "signal=logs&partition=0&lane=" + "0" * 32

# Every route: a request to it that is all right for whoever may make it, and the least role (None: open to all).
MATRIX: dict[tuple[str, str], tuple[str | None, str, dict[str, Any]]] = {
    ("GET", "/"): (None, "/", {}),
    ("GET", "/<name>"): (None, "/logs", {}),
    ("GET", "/alerts/<alert_id>"): (None, "/alerts/1", {}),
    ("GET", "/assets/<name>"): (None, f"/assets/{next((STATIC / 'assets').glob('*.js')).name}", {}),
    ("GET", "/explorer"): (None, "/explorer", {}),
    ("GET", "/explorer.js"): (None, "/explorer.js", {}),
    ("GET", "/explorer.css"): (None, "/explorer.css", {}),
    ("GET", "/openapi.json"): (None, "/openapi.json", {}),
    ("GET", "/login"): (None, "/login", {}),
    ("POST", "/api/v1/session"): (None, "/api/v1/session", {"json": {"key": "mon_0_0"}}),
    ("GET", "/api/v1/session"): ("viewer", "/api/v1/session", {}),
    ("DELETE", "/api/v1/session"): ("viewer", "/api/v1/session", {}),
    ("GET", "/healthz"): (None, "/healthz", {}),
    ("GET", "/readyz"): (None, "/readyz", {}),
    ("GET", "/metrics"): (None, "/metrics", {}),
    ("GET", "/api/v1/status"): ("viewer", "/api/v1/status", {}),
    ("GET", "/api/v1/overview"): ("viewer", "/api/v1/overview", {}),
    ("POST", "/api/v1/logs"): ("ingest", "/api/v1/logs", {"data": b'{"message":"x"}'}),
    ("POST", "/api/v1/metrics"): (
        "ingest",
        "/api/v1/metrics",
        {"data": b'{"name":"x","kind":"counter","value":1}'},
    ),
    ("POST", "/v1/metrics"): ("ingest", "/v1/metrics", {"json": {}}),
    ("POST", "/prometheus/api/v1/write"): ("ingest", "/prometheus/api/v1/write", {"data": b""}),
    ("POST", "/v1/logs"): ("ingest", "/v1/logs", {"json": {}}),
    ("POST", "/v1/traces"): ("ingest", "/v1/traces", {"json": {}}),
    ("POST", "/loki/api/v1/push"): ("ingest", "/loki/api/v1/push", {"json": {"streams": []}}),
    ("POST", "/api/v1/ingest/raw"): ("ingest", "/api/v1/ingest/raw?service=x", {"data": b"x"}),
    ("GET", "/api/v1/logs"): ("viewer", "/api/v1/logs?query=x", {}),
    ("GET", "/api/v1/logs/histogram"): ("viewer", "/api/v1/logs/histogram?query=x", {}),
    ("GET", "/api/v1/logs/facets"): ("viewer", "/api/v1/logs/facets?query=x", {}),
    ("GET", "/api/v1/logs/stats"): ("viewer", "/api/v1/logs/stats?query=x", {}),
    ("GET", "/api/v1/logs/patterns"): ("viewer", "/api/v1/logs/patterns?query=x", {}),
    ("GET", "/api/v1/logs/tail"): ("viewer", "/api/v1/logs/tail?query=x", {"buffered": False}),
    ("GET", "/api/v1/logs/export"): ("viewer", "/api/v1/logs/export?query=x", {}),
    ("GET", "/api/v1/logs/<event_id>"): ("viewer", "/api/v1/logs/0000000000000000-0-1", {}),
    ("GET", "/api/v1/logs/<event_id>/context"): ("viewer", "/api/v1/logs/0000000000000000-0-1/context", {}),
    ("GET", "/api/v1/searches"): ("viewer", "/api/v1/searches", {}),
    ("PUT", "/api/v1/searches/<name>"): ("operator", "/api/v1/searches/x", {"json": {"query": "x"}}),
    ("DELETE", "/api/v1/searches/<name>"): ("operator", "/api/v1/searches/nothing", {}),
    ("GET", "/api/v1/derived-metrics"): ("viewer", "/api/v1/derived-metrics", {}),
    ("POST", "/api/v1/derived-metrics"): (
        "operator",
        "/api/v1/derived-metrics",
        {"json": {"name": "x", "kind": "counter", "query": "x"}},
    ),
    ("GET", "/api/v1/derived-metrics/<name>"): ("viewer", "/api/v1/derived-metrics/none", {}),
    ("PUT", "/api/v1/derived-metrics/<name>"): (
        "operator",
        "/api/v1/derived-metrics/x",
        {"json": {"kind": "counter", "query": "x"}},
    ),
    ("DELETE", "/api/v1/derived-metrics/<name>"): ("operator", "/api/v1/derived-metrics/none", {}),
    ("GET", "/api/v1/alerts"): ("viewer", "/api/v1/alerts?state=all", {}),
    ("GET", "/api/v1/alerts/<identity>"): ("viewer", "/api/v1/alerts/none", {}),
    ("GET", "/api/v1/alerts/<identity>/history"): ("viewer", "/api/v1/alerts/none/history", {}),
    ("POST", "/api/v1/alerts/<identity>/acknowledge"): ("operator", "/api/v1/alerts/none/acknowledge", {}),
    ("POST", "/api/v1/alerts/<identity>/resolve"): ("operator", "/api/v1/alerts/none/resolve", {}),
    ("POST", "/api/v1/alerts/<identity>/comments"): (
        "operator",
        "/api/v1/alerts/none/comments",
        {"json": {"comment": "x"}},
    ),
    ("GET", "/api/v1/rules"): ("viewer", "/api/v1/rules", {}),
    ("POST", "/api/v1/rules"): (
        "operator",
        "/api/v1/rules",
        {"json": {"name": "x", "kind": "logs", "query": "x", "threshold": 1}},
    ),
    ("POST", "/api/v1/rules/test"): (
        "viewer",
        "/api/v1/rules/test",
        {"json": {"rule": {"kind": "logs", "query": "x", "threshold": 1}}},
    ),
    ("GET", "/api/v1/rules/export"): ("viewer", "/api/v1/rules/export", {}),
    ("GET", "/api/v1/rules/<name>"): ("viewer", "/api/v1/rules/none", {}),
    ("PUT", "/api/v1/rules/<name>"): (
        "operator",
        "/api/v1/rules/none",
        {"json": {"kind": "logs", "query": "x", "threshold": 1}},
    ),
    ("DELETE", "/api/v1/rules/<name>"): ("operator", "/api/v1/rules/none", {}),
    ("POST", "/api/v1/rules/<name>/enable"): ("operator", "/api/v1/rules/none/enable", {}),
    ("POST", "/api/v1/rules/<name>/disable"): ("operator", "/api/v1/rules/none/disable", {}),
    ("GET", "/api/v1/silences"): ("viewer", "/api/v1/silences", {}),
    ("POST", "/api/v1/silences"): (
        "operator",
        "/api/v1/silences",
        {"json": {"matchers": ["rule=x"], "ends_at": "+1h", "reason": "x"}},
    ),
    ("GET", "/api/v1/silences/<identity>"): ("viewer", "/api/v1/silences/none", {}),
    ("PUT", "/api/v1/silences/<identity>"): ("operator", "/api/v1/silences/none", {"json": {"ends_at": "+2h"}}),
    ("DELETE", "/api/v1/silences/<identity>"): ("operator", "/api/v1/silences/none", {}),
    ("GET", "/api/v1/maintenance-windows"): ("viewer", "/api/v1/maintenance-windows", {}),
    ("PUT", "/api/v1/maintenance-windows/<name>"): (
        "operator",
        "/api/v1/maintenance-windows/x",
        {"json": {"matchers": ["rule=x"], "start": "02:00", "duration": "1h"}},
    ),
    ("DELETE", "/api/v1/maintenance-windows/<name>"): ("operator", "/api/v1/maintenance-windows/none", {}),
    ("GET", "/api/v1/frames"): ("ingest", "/api/v1/frames", {}),
    ("POST", "/api/v1/frames"): ("ingest", f"/api/v1/frames?{FRAMES}", {"data": b""}),
    ("PUT", "/api/v1/frames"): ("ingest", f"/api/v1/frames?{FRAMES}", {"json": {"emitted": 0}}),
    ("GET", "/api/v1/keys"): ("admin", "/api/v1/keys", {}),
    ("POST", "/api/v1/keys"): ("admin", "/api/v1/keys", {"json": {"name": "x", "role": "viewer"}}),
    ("DELETE", "/api/v1/keys/<identity>"): ("admin", "/api/v1/keys/nobody", {}),
    ("GET", "/api/v1/dead-letters"): ("admin", "/api/v1/dead-letters", {}),
    ("GET", "/api/v1/dead-letters/<letter_id>"): ("admin", "/api/v1/dead-letters/0-1-1", {}),
    ("POST", "/api/v1/dead-letters/<letter_id>/replay"): ("admin", "/api/v1/dead-letters/0-1-1/replay", {}),
    ("GET", "/api/v1/channels"): ("viewer", "/api/v1/channels", {}),
    ("POST", "/api/v1/channels"): (
        "admin",
        "/api/v1/channels",
        {"json": {"name": "x", "kind": "slack", "config": {"url": "https://hooks.example/x"}}},
    ),
    ("GET", "/api/v1/channels/<name>"): ("viewer", "/api/v1/channels/nothing", {}),
    ("PUT", "/api/v1/channels/<name>"): ("admin", "/api/v1/channels/x", {"json": {"enabled": False}}),
    ("DELETE", "/api/v1/channels/<name>"): ("admin", "/api/v1/channels/nothing", {}),
    ("POST", "/api/v1/channels/<name>/test"): ("admin", "/api/v1/channels/nothing/test", {}),
    ("POST", "/api/v1/maintenance/retention"): ("admin", "/api/v1/maintenance/retention", {"json": {"dry_run": True}}),
    ("GET", "/api/v1/metrics/queries"): ("viewer", "/api/v1/metrics/queries", {}),
    ("POST", "/api/v1/maintenance/purge"): (
        "admin",
        "/api/v1/maintenance/purge",
        {"json": {"query": "x", "dry_run": True}},
    ),
    ("GET", "/api/v1/maintenance/purge"): ("admin", "/api/v1/maintenance/purge", {}),
    ("GET", "/prometheus/api/v1/query"): ("viewer", "/prometheus/api/v1/query?query=1", {}),
    ("POST", "/prometheus/api/v1/query"): ("viewer", "/prometheus/api/v1/query", {"data": {"query": "1"}}),
    ("GET", "/prometheus/api/v1/query_range"): (
        "viewer",
        "/prometheus/api/v1/query_range?query=1&start=0&end=60&step=15",
        {},
    ),
    ("POST", "/prometheus/api/v1/query_range"): (
        "viewer",
        "/prometheus/api/v1/query_range",
        {"data": {"query": "1", "start": "0", "end": "60", "step": "15"}},
    ),
    ("GET", "/prometheus/api/v1/series"): ("viewer", "/prometheus/api/v1/series?match[]=up", {}),
    ("POST", "/prometheus/api/v1/series"): ("viewer", "/prometheus/api/v1/series", {"data": {"match[]": "up"}}),
    ("GET", "/prometheus/api/v1/labels"): ("viewer", "/prometheus/api/v1/labels?", {}),
    ("POST", "/prometheus/api/v1/labels"): ("viewer", "/prometheus/api/v1/labels", {"data": {}}),
    ("GET", "/prometheus/api/v1/label/<name>/values"): ("viewer", "/prometheus/api/v1/label/x/values", {}),
    ("GET", "/prometheus/api/v1/metadata"): ("viewer", "/prometheus/api/v1/metadata", {}),
    **{
        ("GET", f"/prometheus/api/v1/{name}"): ("viewer", f"/prometheus/api/v1/{name}", {})
        for name in ("rules", "alerts", "targets", "status/runtimeinfo", "status/flags")
    },
    **{
        (method, f"/prometheus/api/v1/{name}"): ("viewer", f"/prometheus/api/v1/{name}?query=up", {})
        for name in ("query_exemplars", "format_query")
        for method in ("GET", "POST")
    },
    ("GET", "/prometheus/api/v1/status/buildinfo"): ("viewer", "/prometheus/api/v1/status/buildinfo", {}),
    ("GET", "/api/v1/audit"): ("admin", "/api/v1/audit?query=x", {}),
    ("GET", "/api/v1/audit/export"): ("admin", "/api/v1/audit/export?query=x", {}),
}
LOGIN = ("POST", "/api/v1/session")


def test_the_matrix_knows_every_route_and_every_route_is_served() -> None:
    assert {(route.method, route.path): route.role for route in ROUTES} == {
        key: role for key, (role, _, _) in MATRIX.items()
    }
    app = create_app(settings.load({}))
    served = {(method, rule.rule) for rule in app.url_map.iter_rules() for method in rule.methods or ()}
    assert served - {("HEAD", path) for _, path in MATRIX} == set(MATRIX)


def test_each_role_may_use_exactly_the_routes_that_are_its_own(instance: Instance) -> None:
    for (method, path), (needed, address, arguments) in MATRIX.items():
        for role in (None, *ROLES):
            answer = instance.call(method, address, role, **arguments)
            status = answer.status_code
            answer.close()
            if needed is None:
                assert status < 400 or (method, path) == LOGIN, (method, path, role)
            elif role is None:
                assert status == 401, (method, path, role)
            elif ROLES.index(role) < ROLES.index(needed):
                assert status == 403, (method, path, role)
            else:
                assert status < 400 or status in (404, 409), (method, path, role, status)


def test_every_route_that_may_change_something_says_what_the_audit_log_calls_it() -> None:
    silent = [(route.method, route.path) for route in ROUTES if route.method not in SAFE_METHODS and not route.audit]
    assert silent == []
    assert all(route.role == "ingest" for route in ROUTES if route.audit == DATA)


def test_an_ingest_key_reads_nothing_that_was_stored() -> None:
    reading = [route for route in ROUTES if route.role == "ingest" and route.method == "GET"]
    assert [route.path for route in reading] == ["/api/v1/frames"]


@pytest.mark.parametrize(
    "header", [None, "", "Basic dXNlcjpwYXNz", "Bearer", "Bearer ", "Bearer mon_a_b", "Bearer \xff"]
)
def test_without_a_good_key_the_answer_is_401_and_says_what_to_send(instance: Instance, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = instance.call("GET", "/api/v1/status", None, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.mimetype == "application/problem+json"
    assert answer.json is not None
    assert answer.json["field"] == "Authorization"
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]
    assert "Bearer <key>" in answer.json["fix"]


def test_a_revoked_key_is_refused_within_five_seconds(instance: Instance) -> None:
    made = instance.call("POST", "/api/v1/keys", json={"name": "x", "role": "viewer"})
    assert made.json is not None
    instance.keys["mine"] = made.json["key"]
    assert instance.call("GET", "/api/v1/status", "mine").status_code == 200
    assert instance.call("DELETE", f"/api/v1/keys/{made.json['prefix']}").status_code == 200
    ends = time.monotonic() + 5
    while instance.call("GET", "/api/v1/status", "mine").status_code == 200:
        assert time.monotonic() < ends
        time.sleep(0.1)
    assert instance.call("GET", "/api/v1/status", "mine").status_code == 401


def test_an_unknown_parameter_is_refused_with_the_nearest_known_one(instance: Instance) -> None:
    answer = instance.call("GET", "/api/v1/logs?qurey=x")
    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["field"] == "qurey"
    assert "did you mean query?" in answer.json["fix"]
    assert instance.call("GET", "/api/v1/status?x=1").status_code == 400
    assert instance.call("GET", "/api/v1/logs?limit=1&limit=2").status_code == 400


def test_wrong_addresses_and_methods_are_problems_too(instance: Instance) -> None:
    assert instance.call("GET", "/api/v2/logs").mimetype == "application/problem+json"
    answer = instance.call("DELETE", "/api/v1/logs")
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) >= {"GET", "POST"}
    assert answer.json is not None
    assert "POST" in answer.json["fix"]


@pytest.mark.parametrize(
    ("address", "near"),
    [("/api/v1/log", "/api/v1/logs"), ("/logs/", "/api/v1/logs"), ("/health", "/healthz"), ("/zz", "/openapi.json")],
)
def test_an_address_without_anything_names_the_nearest(instance: Instance, address: str, near: str) -> None:
    answer = instance.call("GET", address)
    assert answer.json is not None
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
    assert address.rstrip("/") in answer.json["detail"]
    assert near in answer.json["fix"]


def test_doubled_slashes_lead_to_the_address_that_was_meant(instance: Instance) -> None:
    answer = instance.call("GET", "/api//v1/status")
    assert answer.status_code == 308
    assert answer.headers["Location"].endswith("/api/v1/status")


def test_every_answer_carries_the_security_headers_and_a_request_id(instance: Instance) -> None:
    for path in ("/", "/healthz", "/api/v1/status", "/nowhere", "/logs", "/icon.svg"):
        answer = instance.call("GET", path, None)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-Id"])


def test_a_request_id_is_taken_over_only_if_it_is_harmless(instance: Instance) -> None:
    assert instance.call("GET", "/healthz", headers={"X-Request-Id": "abc-1"}).headers["X-Request-Id"] == "abc-1"
    for bad in ("a b", "<script>", "x" * 65, ""):
        assert instance.call("GET", "/healthz", headers={"X-Request-Id": bad}).headers["X-Request-Id"] != bad


def test_an_unforeseen_error_is_logged_and_hidden(instance: Instance, caplog: pytest.LogCaptureFixture) -> None:
    def broken(call: object) -> Any:
        raise RuntimeError("secret detail /etc/passwd")

    app = Flask("x")
    blueprint = Blueprint("b", __name__)
    mount(blueprint, (Route("GET", "/broken", None, broken),), instance.runtime)
    app.register_blueprint(blueprint)
    answer = app.test_client().get("/broken")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json is not None
    assert answer.json["request_id"] in caplog.text
    assert "secret detail" in caplog.text


def test_the_blueprint_serves_under_any_prefix_of_another_application(instance: Instance) -> None:
    app = Flask("somebody")
    app.register_blueprint(monitoring.api.blueprint(instance.settings), url_prefix="/monitoring")
    client = app.test_client()
    headers = {"Authorization": f"Bearer {instance.keys['viewer']}"}
    assert client.get("/monitoring/api/v1/status", headers=headers).status_code == 200
    assert client.get("/monitoring/api/v1/status").status_code == 401
    for page in ("/monitoring/", "/monitoring/alerts/1"):
        script = re.search(r'src="(/monitoring/assets/[^"]+)"', client.get(page).text)
        assert script and client.get(script[1]).status_code == 200
    app.extensions["monitoring"].close()


def test_making_the_application_opens_nothing(tmp_path: Path) -> None:
    create_app(settings.load({"MONITORING_DATA_DIR": str(tmp_path / "data")}))
    assert not (tmp_path / "data").exists()
