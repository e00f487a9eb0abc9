"""A path is a route once what looks like an id is left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.producers.asgi_route import path_of, route_of
from monitoring.producers.route import MAX_PATH, NO_ROUTE, folded


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/", "/"),
        ("", ""),
        ("/users/42", "/users/{id}"),
        ("/users/42/", "/users/{id}/"),
        ("/users/9b2c4a1e-5d5f-4a8e-9a55-2f0f3e9a1c11/orders/7", "/users/{id}/orders/{id}"),
        ("/blobs/d41d8cd98f00b204e9800998ecf8427e", "/blobs/{id}"),
        ("/blobs/D41D8CD98F00B204", "/blobs/{id}"),
        ("/facade/decade/v2/2fa", "/facade/decade/v2/2fa"),
        ("/users/alice", "/users/alice"),
    ],
)
def test_ids_are_folded_and_words_are_not(path, route):
    assert folded(path) == route


@given(st.text(max_size=400))
def test_any_path_has_a_bounded_route_that_folds_to_itself(path):
    route = folded(path)
    assert len(route) <= 2 * MAX_PATH + 4  # a digit becomes {id}
    assert folded(route) == route or len(route) > MAX_PATH


@pytest.mark.parametrize(
    ("path", "root_path", "within"),
    [
        ("/a/b", "", "/a/b"),
        ("/eu/a", "/eu", "/a"),
        ("/eu/a", "/eu/", "/a"),
        ("/a", "/eu", "/a"),
        ("/euro", "/eu", "/euro"),
    ],
)
def test_the_path_within_an_application_is_without_what_it_is_mounted_at(path, root_path, within):
    assert path_of({"path": path, "root_path": root_path}) == within


class Old:
    """A route of a Starlette that does not name the route in the scope."""

    def __init__(self, path, endpoint=None, routes=None):
        self.path, self.endpoint = path, endpoint
        if routes is not None:
            self.routes = routes


def test_a_route_that_the_scope_does_not_name_is_found_by_its_endpoint():
    one, other = object(), object()
    router = Old("", routes=[Old("/a/{b}", one), Old("/sub", routes=[Old("/c", other)])])
    assert route_of({"router": router, "endpoint": one}, "", 200) == "/a/{b}"
    assert route_of({"router": router, "endpoint": other, "root_path": "/sub"}, "", 200) == "/sub/c"
    assert route_of({"router": router, "endpoint": object()}, "", 404) == NO_ROUTE
    assert route_of({"path": "/a/7"}, "", 200) == "/a/{id}"
    assert route_of({"path": "/a/7"}, "", 404) == NO_ROUTE
