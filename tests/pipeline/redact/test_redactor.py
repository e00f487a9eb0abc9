"""Each way in, with what is peculiar to it."""

from __future__ import annotations

import threading
from typing import Any

import orjson
import pytest

from monitoring.pipeline.errors import SettingsError
from monitoring.pipeline.events.event import Event
from monitoring.pipeline.redact import Redactor


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    return Redactor()


# values


def test_the_whole_value_of_a_sensitive_name_is_hidden_down_to_the_leaves(redactor):
    assert redactor.value({"password": {"old": "a", "new": ["b", ("c", 7)]}}) == {
        "password": {
            "old": "[REDACTED:password]",
            "new": ["[REDACTED:password]", ("[REDACTED:password]", "[REDACTED:password]")],
        }
    }


def test_what_says_that_nothing_is_there_stays(redactor):
    for nothing in (None, True, False, "", "***"):
        assert redactor.value({"password": nothing})["password"] is nothing


def test_numbers_are_hidden_by_name_and_cards_by_shape(redactor):
    number = int("4242" * 4)
    assert redactor.value({"pin": 1234, "x": number, "n": 4242}) == {
        "pin": "[REDACTED:pin]",
        "x": "[REDACTED:card]",
        "n": 4242,
    }


def test_data_that_is_clean_is_the_same_object_and_so_are_its_clean_parts(redactor):
    clean = {"a": [1, 2, {"b": "c"}]}
    assert redactor.value(clean) is clean
    shown = redactor.value({"clean": clean, "token": "abc"})
    assert shown["clean"] is clean


def test_the_value_itself_is_not_changed(redactor):
    value = {"a": [{"password": "x"}]}
    redactor.value(value)
    assert value == {"a": [{"password": "x"}]}


def test_pairs_options_and_members_that_name_their_value_are_understood(redactor):
    assert redactor.value({"headers": [[b"authorization", b"Bearer abc"], [b"host", b"db"]]}) == {
        "headers": [[b"authorization", b"[REDACTED:authorization]"], [b"host", b"db"]]
    }
    assert redactor.value(["run", "--token", "abc", "--verbose"]) == ["run", "--token", "[REDACTED:token]", "--verbose"]
    assert redactor.value([{"name": "DB_PASSWORD", "value": "x"}]) == [
        {"name": "DB_PASSWORD", "value": "[REDACTED:password]"}
    ]


def test_private_members_of_a_json_web_key_are_hidden(redactor):
    shown = redactor.value({"kty": "RSA", "n": "abc", "d": "def", "p": "ghi"})
    assert shown == {"kty": "RSA", "n": "abc", "d": "[REDACTED:private_key]", "p": "[REDACTED:private_key]"}


def test_two_secrets_that_are_keys_stay_two_members(redactor):
    first, second = ("sk" + f"-ant-api03-{letter * 30}1" for letter in "ab")
    assert list(redactor.value({first: 1, second: 2}).values()) == [1, 2]
    assert not {first, second} & set(redactor.value({first: 1, second: 2}))


def test_data_without_end_or_bottom_is_hidden_whole(redactor):
    circle: list[Any] = []
    circle.append(circle)
    assert redactor.value(circle) == "[REDACTED:depth]"


def test_other_objects_are_left_alone(redactor):
    thing = object()
    assert redactor.value(thing) is thing
    assert redactor.value({"password": thing})["password"] is thing


# JSON


def test_escapes_hide_nothing(redactor):
    for text in (
        '{"\\u0070assword":"hunter2"}',
        '{"password":"hunter\\u0032"}',
        '{"a":"{\\"password\\":\\"hunter2\\"}"}',
        '{"a":"x\\npassword=hunter2"}',
        '{"u":"postgres:\\/\\/bob:hunter2@db"}',
        '{"a":"\\u001b[31mpassword=hunter2"}',
    ):
        shown = redactor.json(text)
        assert "hunter2" not in str(orjson.loads(shown)), text


def test_json_stays_json_also_where_it_cannot_be_walked(redactor):
    deep = '{"a":' * 300 + '{"pin":1234,"password":"x"}' + "}" * 300
    shown = redactor.json(deep)
    assert '"pin":"[REDACTED:pin]","password":"[REDACTED:password]"' in shown
    assert shown.count("{") == shown.count("}")


@pytest.mark.parametrize(
    "text", ["", "not json password=hunter2", '{"password": "hunter2"', '{"password": NaN, "x": "pw=hunter2"}']
)
def test_what_is_no_json_is_text(redactor, text):
    shown = redactor.json(text)
    assert "hunter2" not in shown
    assert bool(shown) == bool(text)


def test_a_name_between_a_name_and_its_value_is_found_too(redactor):
    text = "{'loc': ('password'), 'token': 'abc1', 'input': 'def2'} <password a='b' token='ghi3'>jkl4</password>"
    assert not any(secret in redactor.text(text) for secret in ("abc1", "def2", "ghi3", "jkl4"))


def test_a_json_string_stays_one(redactor):
    assert orjson.loads(redactor.json('"ValueError: password=hunter2"')) == "ValueError: password=[REDACTED:password]"


# HTTP


def test_headers_are_judged_by_name_in_any_case_and_cookies_keep_theirs(redactor):
    assert redactor.headers(
        [
            ("AUTHORIZATION", "Bearer abc"),
            ("x-api-key", "abc"),
            ("cookie", "sid=abc; theme=dark"),
            ("Set-Cookie", "sid=abc; Path=/; HttpOnly"),
            ("Accept", "text/html"),
            ("Referer", "https://x.example/?token=abc"),
        ]
    ) == {
        "AUTHORIZATION": "[REDACTED:authorization]",
        "x-api-key": "[REDACTED:api_key]",
        "cookie": "sid=[REDACTED:cookie]; theme=[REDACTED:cookie]",
        "Set-Cookie": "sid=[REDACTED:cookie]; Path=/; HttpOnly",
        "Accept": "text/html",
        "Referer": "https://x.example/?token=[REDACTED:token]",
    }


def test_a_header_that_comes_twice_is_kept_twice(redactor):
    assert redactor.headers([("Via", "a"), ("Via", "b")]) == {"Via": "a, b"}


def test_a_query_is_judged_by_decoded_names_and_values(redactor):
    assert redactor.query("a=1&api%5Fkey=x&user%5Bpassword%5D=y%26z&page=2") == (
        "a=1&api%5Fkey=[REDACTED:api_key]&user%5Bpassword%5D=[REDACTED:password]&page=2"
    )
    assert redactor.query("") == ""
    assert redactor.query("a=1&b") == "a=1&b"


def test_an_address_loses_its_password_and_its_tokens_in_query_and_fragment(redactor):
    assert redactor.url("https://bob:hunter2@x.example/a?b=1&token=abc#access_token=def&n=1") == (
        "https://bob:[REDACTED:url_password]@x.example/a?b=1&token=[REDACTED:token]#access_token=[REDACTED:token]&n=1"
    )
    assert redactor.url("https://x.example/a?b=1#top") == "https://x.example/a?b=1#top"


# events


def test_only_events_with_a_find_are_new(redactor):
    clean = Event(1, 9, "api", message="served", attributes='{"a":1}')
    dirty = clean._replace(message="password=x", exception='"token=abc"', attributes='{"secret":"y"}')
    shown = redactor.events([clean, dirty, clean])
    assert shown[0] is clean
    assert shown[2] is clean
    assert shown[1] == clean._replace(
        message="password=[REDACTED:password]",
        exception='"token=[REDACTED:token]"',
        attributes='{"secret":"[REDACTED:secret]"}',
    )


def test_the_find_is_told_from_its_neighbours_whatever_stands_between(redactor):
    messages = ["", "password=x", "", "4242 4242 4242 4242", "plain", "token=abc", "\ud800 password=y", "ünï"]
    events = [Event(1, 9, "api", message=message) for message in messages]
    alone = [redactor.text(message) for message in messages]
    assert [event.message for event in redactor.events(events)] == alone
    separated = [*events, Event(1, 9, "api", message="a\x1eb password=z")]
    assert [event.message for event in redactor.events(separated)] == [*alone, "a\x1eb password=[REDACTED:password]"]


def test_fields_of_another_type_are_left_alone(redactor):
    odd: Any = Event(1, 9, "api", message=None, exception=7, attributes={"password": "x"})  # type: ignore[arg-type]
    rest = Event(1, 9, "api", message="password=x")
    assert redactor.events([odd, "no event", rest])[:2] == [odd, "no event"]
    assert redactor.events([odd, rest])[1].message == "password=[REDACTED:password]"


def test_no_events_are_none(redactor):
    assert redactor.events([]) == []


# settings


def test_own_patterns_hide_their_group_or_the_whole_match_in_every_way_in():
    redactor = Redactor(patterns={"badge": r"\bB-\d{4}\b", "room": r"room (?P<secret>\w+)"})
    assert redactor.text("B-1234 in room blue") == "[REDACTED:badge] in room [REDACTED:room]"
    assert redactor.json('{"a":"B-1234"}') == '{"a":"[REDACTED:badge]"}'
    assert redactor.value(["B-1234"]) == ["[REDACTED:badge]"]
    events = [
        Event(1, 9, "a", message="x"),
        Event(1, 9, "a", attributes='{"a":["x\\nB-1234"]}'),
        Event(1, 9, "a", message="B-1"),
    ]
    shown = redactor.events(events)
    assert shown[1].attributes == '{"a":["x\\n[REDACTED:badge]"]}'
    assert shown[0] is events[0]
    assert shown[2] is events[2]
    assert redactor.found == {"badge": 4, "room": 1}


def test_an_own_pattern_for_a_whole_text_finds_it_in_json():
    redactor = Redactor(patterns={"whole": r"^magic$"})
    assert redactor.json('{"a":"magic","b":"no magic"}') == '{"a":"[REDACTED:whole]","b":"no magic"}'


@pytest.mark.parametrize(
    ("patterns", "allow", "named"),
    [
        ({"bad": "("}, (), "'('"),
        ({"look": "(?=x)"}, (), "'(?=x)'"),
        ({"empty": "a*"}, (), "'a*'"),
        ({"Bad Kind": "a"}, (), "'Bad Kind'"),
        ({}, ("[",), "'['"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_named(patterns, allow, named):
    with pytest.raises(SettingsError) as caught:
        Redactor(patterns=patterns, allow=allow)
    assert named in str(caught.value)


def test_the_allow_list_leaves_names_and_texts_alone():
    redactor = Redactor(allow=[r"session_id", r"hunter\d", r"sk-ant-test-.*"])
    assert redactor.text("session_id=abc password=hunter2") == "session_id=abc password=hunter2"
    assert redactor.text("password=hunter22") == "password=[REDACTED:password]"
    assert redactor.value({"session_id": "abc", "token": "abc"}) == {"session_id": "abc", "token": "[REDACTED:token]"}
    key = "sk" + "-ant-test-0123456789abcdef01"
    assert redactor.text(f"using {key}") == f"using {key}"
    assert redactor.query("session_id=1") == "session_id=1"
    assert redactor.headers([("Cookie", "session_id=1; a=2")]) == {"Cookie": "session_id=1; a=[REDACTED:cookie]"}


def test_own_names_are_sensitive_in_every_way_in():
    redactor = Redactor(keys=["employee_id"])
    assert redactor.text("employeeId=17x") == "employeeId=[REDACTED:employee_id]"
    assert redactor.json('{"Employee-Id":"17x"}') == '{"Employee-Id":"[REDACTED:employee_id]"}'
    assert redactor.value("17x", "employee_id") == "[REDACTED:employee_id]"
    assert redactor.query("employee_id=17x") == "employee_id=[REDACTED:employee_id]"


# in all of them


def test_what_was_hidden_is_counted_by_kind():
    redactor = Redactor()
    redactor.text("password=a token=b")
    redactor.json('{"password":"c"}')
    redactor.value({"password": 12345678})
    redactor.headers([("cookie", "a=b; c=d")])
    assert redactor.found == {"password": 3, "token": 1, "cookie": 2}


def test_many_threads_count_right():
    redactor = Redactor()
    threads = [
        threading.Thread(target=lambda: [redactor.text(f"password=x{number}") for number in range(200)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert redactor.found == {"password": 1600}


def test_a_key_is_hidden_whole_over_its_lines_in_text_and_json(redactor):
    body = "\n".join("MIIB" + "a1B2" * 15 for _ in range(20))
    key = "-" * 5 + "BEGIN PRIVATE " + "KEY" + "-" * 5 + "\n" + body + "\n" + "-" * 5 + "END PRIVATE " + "KEY" + "-" * 5
    assert redactor.text(f"got\n{key}\nthen") == "got\n[REDACTED:private_key]\nthen"
    assert orjson.loads(redactor.json(orjson.dumps({"pem": f"x {key} y"}).decode())) == {
        "pem": "x [REDACTED:private_key] y"
    }
    assert "a1B2" not in redactor.text(f"cut: {key[:400]}")
