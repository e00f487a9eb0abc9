"""The dashboard's files as they are served: every page, for ever or not at all cached, nothing inline."""

from __future__ import annotations

import gzip
import re

from monitoring.api.dashboard import FILES, PAGES, STATIC
from tests.instance import Instance


def test_every_page_is_the_document_whatever_its_query_parameters(instance: Instance) -> None:
    document = instance.call("GET", "/", None).text
    assert '<div id="root">' in document
    for page in (*PAGES, "alerts/17"):
        answer = instance.call("GET", f"/{page}?query=x&start=-1h&utm_source=mail", None)
        assert (answer.status_code, answer.mimetype) == (200, "text/html"), page
        assert answer.text == document
        assert answer.headers["Cache-Control"] == "no-cache"


def test_the_document_has_no_inline_code_and_names_files_of_this_origin_only(instance: Instance) -> None:
    answer = instance.call("GET", "/", None, headers={"Host": 'a"><script>alert(1)</script>'})
    assert "alert(1)" not in answer.text
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|javascript:", answer.text)
    named = re.findall(r'(?:src|href)="([^"]*)"', answer.text)
    assert named
    for address in named:
        assert address.startswith("/")
        assert not address.startswith("//")
        assert instance.call("GET", address, None).status_code == 200, address
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "unsafe" not in policy


def test_assets_may_be_kept_for_ever_and_come_compressed_to_whom_takes_it(instance: Instance) -> None:
    for path in (STATIC / "assets").iterdir():
        plain = instance.call("GET", f"/assets/{path.name}", None)
        assert plain.data == path.read_bytes()
        assert "immutable" in plain.headers["Cache-Control"]
        packed = instance.call("GET", f"/assets/{path.name}", None, headers={"Accept-Encoding": "gzip"})
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.data) == plain.data
        assert "Accept-Encoding" in packed.headers["Vary"]


def test_icons_and_the_manifest_are_there_under_their_fixed_names(instance: Instance) -> None:
    for name in FILES:
        assert instance.call("GET", f"/{name}", None).status_code == 200, name
    manifest = instance.call("GET", "/manifest.webmanifest", None)
    assert manifest.mimetype == "application/manifest+json"
    for icon in (manifest.json or {}).get("icons", ()):
        assert icon["src"].removeprefix("./") in FILES


def test_nothing_else_of_the_disk_can_be_named(instance: Instance) -> None:
    for address in (
        "/index.html",
        "/dashboard.py",
        "/assets/..",
        "/assets/%2e%2e%2findex.html",
        "/%2e%2e",
        "/assets/x.js",
    ):
        answer = instance.call("GET", address, None)
        assert answer.status_code == 404, address
        assert answer.mimetype == "application/problem+json"


def test_the_first_load_stays_small() -> None:
    document = (STATIC / "index.html").read_text()
    first = [STATIC / name for name in re.findall(r'"\./(assets/[^"]+)"', document)]
    pages = max(len(gzip.compress(path.read_bytes())) for path in (STATIC / "assets").glob("*.js") if path not in first)
    total = sum(len(gzip.compress(path.read_bytes())) for path in first)
    assert total + pages <= 250_000  # what a phone waits for before it shows the page that it was sent to
