"""The work is in proportion to the input, whatever the input is.

Times are not asserted: they vary with the machine. What is counted is the calls that Python makes while it redacts, for
a text and for one four times as long. What happens within a call is RE2's, which reads a text once; texts of a megabyte
that would take hours if it were not so must be done within the time a test has.
"""

from __future__ import annotations

import sys
from typing import Any

import pytest

from monitoring.pipeline.events.event import Event
from monitoring.pipeline.redact import Redactor

REDACTOR = Redactor()
SIZE = 4096
BEGIN = "-" * 5 + "BEGIN PRIVATE " + "KEY" + "-" * 5

UNITS = {
    "a letter": "a",
    "base 64": "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo",
    "hex": "0123456789abcdef",
    "digits": "4",
    "backslashes": "\\",
    "quotes": '"',
    "separators": "\x1e",
    "surrogates": "\ud800",
    "names in quotes": '"password":',
    "names and values": "password=x1 ",
    "names without values": "password=",
    "open quotes": "password='",
    "open escaped quotes": 'password=\\"x',
    "mixed quotes": "password='a token=\"b secret=`c ",
    "HTML quotes": "password&quot;:&quot;",
    "calls": "token=f(",
    "open braces": "token={",
    "open brackets": "cookie=[a ",
    "objects": '{"a":',
    "lists": "[",
    "pairs": "['password', 'x1'], ",
    "commas": 'password","',
    "members": "password value=",
    "compared": "password==",
    "glued": "password=a,b,c,d,",
    "paths": "secret/secrets:",
    "tags": "<password>",
    "unclosed tags": "password <a ",
    "lines": "password\n ",
    "validation": "password\n x input_value ",
    "locations": "('password'), x 'input' ",
    "phrases": "passphrase: a ",
    "options": "--token ",
    "codes": "otp 1234",
    "keys": "x_key=AbCdEf0123456789AbCdEf ",
    "JWT heads": "eyJ",
    "JWT heads apart": "eyJaaaaaaaaaaaaa-",
    "JWT parts": "eyJaaaaaaaaaaaaa.",
    "PEM heads": BEGIN,
    "PEM heads with bodies": BEGIN + "\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n",
    "PEM bodies": "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC",
    "PuTTY heads": "Private-Lines: 1\n",
    "addresses": "://a:",
    "addresses with users": "://a:b@c",
    "addresses at": "://a@",
    "accounts": "a.b:c@d:1",
    "prefixes": "sk-",
    "prefixes with a bit": "sk-a1B2",
    "short tokens": "sk-learn-contrib ",
    "AWS": "AKIA",
    "schemes": "Bearer ",
    "schemes with words": "Bearer abc ",
    "headers": "authorization: ",
    "header parameters": 'authorization: Digest a="b", ',
    "cookies": "cookie=a=b;",
    "commands": "mysql -pa ",
    "commands without": "mysql ",
    "curl": "curl -b x= ",
    "cards": "4111 1111 1111 111",
    "other numbers": "4111111111111112 ",
    "accounts of banks": "DE12 3456 7890 ",
    "percent escapes": "%70",
    "unicode escapes": "\\u0070",
    "zeros": "A",
    "markers": "[REDACTED:x]",
    "open markers": "[REDACTED:",
    "hidden": "password=[REDACTED:password] ",
    "parameters": "token=a1&",
}


def _calls(text: str) -> int:
    """How many calls redacting this takes, of Python's functions and of C's."""
    count = 0

    def counted(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        REDACTOR.text(text)
        REDACTOR.json(text)
        REDACTOR.query(text)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_four_times_the_text_takes_four_times_the_calls(unit):
    _calls((unit * SIZE)[:SIZE])  # patterns are compiled when they are first needed
    short, long = (_calls((unit * size)[:size]) for size in (SIZE, 4 * SIZE))
    assert long <= 6 * short + 200  # not 4: a text is searched again, up to four times, where something was hidden


@pytest.mark.parametrize(
    "name", ["a letter", "base 64", "names in quotes", "objects", "JWT heads apart", "addresses", "PEM heads"]
)
def test_a_megabyte_of_anything_is_done_in_seconds(name):
    unit = UNITS[name]
    text = (unit * (1 << 20))[: 1 << 20]
    [event] = REDACTOR.events([Event(1, 9, "api", message=text)])
    assert bool(event.message)


@pytest.mark.parametrize("text", ['{"a":' * 100_000, "[" * 500_000, "[" + '{"password":"x1"},' * 20_000 + "1]"])
def test_nested_json_and_wide_json_are_done_in_seconds(text):
    assert "x1" not in REDACTOR.json(text)
