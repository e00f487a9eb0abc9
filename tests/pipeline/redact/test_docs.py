"""What docs/redaction.md shows is what comes out."""

from __future__ import annotations

import re
from pathlib import Path

from monitoring.pipeline.redact import Redactor

PAGE = (Path(__file__).parents[3] / "docs" / "redaction.md").read_text()


def test_the_examples_of_the_page_are_true():
    first, second = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names = {"redactor": Redactor(), "Redactor": Redactor}
    shown = [line.partition("  # ") for line in first.splitlines() if "  # " in line]
    assert len(shown) == 4
    for code, _, expected in shown:
        assert str(eval(code, names)) == expected
    own = eval(second, names)
    assert own.text("B-1234 in room blue, session_id=1") == "[REDACTED:badge] in room [REDACTED:room], session_id=1"
    assert own.value({"baseSalary": 4200}) == {"baseSalary": "[REDACTED:salary]"}


def test_the_limits_of_the_page_are_those_of_today():
    redactor = Redactor()
    for text in ('login("bob", "hunter2")', "INSERT INTO users VALUES ('bob', 'hunter2')", "bob@example.com 10.0.0.1"):
        assert redactor.text(text) == text
    assert redactor.json('{"token": 15043, "password": null}') == '{"token": 15043, "password": null}'
    assert redactor.json('{"password": "required"}') == '{"password":"[REDACTED:password]"}'
