"""Query parameters and members of JSON bodies: one declaration says what is accepted, and what OpenAPI tells of it.

A declaration is its name, as a text, with what may stand there; `Route.params` and `Fields` hold them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import orjson
from flask import request

from monitoring.api.body import read_body
from monitoring.api.problems import Problem
from monitoring.pipeline.errors import QuerySyntaxError
from monitoring.pipeline.query.ranges import moment

__all__ = [
    "Fields",
    "Flag",
    "Form",
    "Json",
    "Member",
    "Moment",
    "Number",
    "OneOf",
    "Param",
    "Repeated",
    "Text",
    "Whole",
    "described",
    "read_object",
]

T = TypeVar("T")
MAX_BYTES = 1 << 16
"""Of a JSON body that says what to do; a rule with all its texts has a few KiB."""


class Member(str, Generic[T]):
    """A name, and what may stand there. `default` is what an absent one means; `required` ones may not be absent."""

    default: T | None
    help: str
    required: bool

    def __new__(
        cls,
        name: str,
        help: str = "",  # noqa: A002 - as click has it
        *,
        default: Any = None,
        required: bool = False,
        **more: Any,
    ) -> Any:
        """A declaration; `more` is what the kind needs."""
        made = super().__new__(cls, name)
        made.default, made.help, made.required = default, help, required
        for key, value in more.items():
            setattr(made, key, value)
        return made

    def schema(self) -> dict[str, Any]:
        """As JSON Schema."""
        return {}

    def parse(self, text: str) -> T:
        """The value that a query parameter means. Raises Problem."""
        raise NotImplementedError(f"{type(self).__name__} stands in bodies, never in addresses")

    def accept(self, value: Any) -> T:
        """The value that a member of a JSON body means. Raises Problem."""
        if type(value) is not str:
            raise self.problem("not a text")
        return self.parse(value)

    def problem(self, what: str, fix: str = "") -> Problem:
        """What is wrong with it."""
        return Problem(400, what, field=str(self), fix=fix)


class Param(Member[T]):
    """A member that may also be a query parameter."""

    def of(self, params: Mapping[str, str]) -> T:
        """The value among the query parameters of a call, the default where it is absent. Raises Problem."""
        text = params.get(str(self))
        return self.default if text is None else self.parse(text)  # type: ignore[return-value]  # None is of T then


class Text(Param[str]):
    """Any text of at most `longest` characters."""

    longest: int = 1 << 16

    def schema(self) -> dict[str, Any]:
        """As JSON Schema."""
        return {"type": "string", "maxLength": self.longest}

    def parse(self, text: str) -> str:
        """See Member."""
        if len(text) > self.longest:
            raise self.problem(f"longer than {self.longest} characters")
        return text


class Whole(Param[int]):
    """A whole number from `least` to `most`."""

    least: int = 1
    most: int

    def schema(self) -> dict[str, Any]:
        """As JSON Schema."""
        found: dict[str, Any] = {"type": "integer", "minimum": self.least, "maximum": self.most}
        return found | ({} if self.default is None else {"default": self.default})

    def parse(self, text: str) -> int:
        """See Member."""
        if not text.isascii() or not text.isdecimal() or len(text) > 19 or not self.least <= int(text) <= self.most:
            raise self._unusable()
        return int(text)

    def accept(self, value: Any) -> int:
        """See Member."""
        if type(value) is not int or not self.least <= value <= self.most:
            raise self._unusable()
        return value

    def _unusable(self) -> Problem:
        return self.problem("not a usable number", f"a whole number from {self.least} to {self.most}")


class Number(Member[float]):
    """A number above zero, up to `most`."""

    most: float

    def schema(self) -> dict[str, Any]:
        """As JSON Schema."""
        return {"type": "number", "exclusiveMinimum": 0, "maximum": self.most}

    def accept(self, value: Any) -> float:
        """See Member."""
        if type(value) not in (int, float) or not 0 < value <= self.most:
            raise self.problem("not a usable number", f"above 0, up to {self.most:g}, or leave it out")
        return float(value)


class Flag(Member[bool]):
    """True or false."""

    def schema(self) -> dict[str, Any]:
        """As JSON Schema."""
        return {"type": "boolean"}

    def accept(self, value: Any) -> bool:
        """See Member."""
        if not isinstance(value, bool):
            raise self.problem("not true or false", "true, or leave it out")
        return value


class OneOf(Param[str]):
    """One of these texts."""

    choices: tuple[str, ...]

    def schema(self) -> dict[str, Any]:
        """As JSON Schema."""
        found: dict[str, Any] = {"type": "string", "enum": list(self.choices)}
        return found | ({} if self.default is None else {"default": self.default})

    def parse(self, text: str) -> str:
        """See Member."""
        if text not in self.choices:
            raise self.problem(f"not a {self}", f"one of {', '.join(self.choices)}")
        return text


class Moment(Param[str]):
    """A time: RFC 3339, a number since 1970, or relative. `at` says which moment it is, to whom knows what now is."""

    def schema(self) -> dict[str, Any]:
        """As JSON Schema."""
        return {"type": "string", "maxLength": 64, "examples": ["-15m", "now", "2026-05-01T10:00:00Z"]}

    def parse(self, text: str) -> str:
        """See Member: the text, if it is a time."""
        self.at(text, 0)
        return text

    def at(self, text: str, now_ns: int) -> int:
        """The time in nanoseconds since 1970. Raises Problem."""
        try:
            return moment(text, now_ns)
        except QuerySyntaxError as error:
            raise self.problem(f"{text[:60]!r} is no time", error.hint) from error


class Json(Member[Any]):
    """Any JSON. What reads it says what is wrong with it; `like` is what it should be, as JSON Schema."""

    like: Mapping[str, Any]

    def schema(self) -> dict[str, Any]:
        """As JSON Schema."""
        return dict(self.like)

    def accept(self, value: Any) -> Any:
        """See Member."""
        return value


class Repeated(Text):
    """A text that may be given more than once. Only for routes that read their parameters themselves."""

    def schema(self) -> dict[str, Any]:
        """As JSON Schema."""
        return {"type": "array", "items": super().schema()}


class Form(tuple[Member[Any], ...]):
    """What a form may hold in place of query parameters, described for OpenAPI; the endpoint reads it."""

    def schema(self) -> dict[str, Any]:
        """As JSON Schema. Nothing is required: what is not in the form may be in the address."""
        return {"type": "object", "properties": {str(member): described(member) for member in self}}


class Fields(tuple[Member[Any], ...]):
    """The members of a JSON body; `optional` bodies may be absent as a whole."""

    optional: bool

    def __new__(cls, *members: Member[Any], optional: bool = False) -> Fields:
        """A declaration."""
        made = super().__new__(cls, members)
        made.optional = optional
        return made

    def read(self) -> dict[str, Any]:
        """The request's body, each member as it was declared, absent ones as their default. Raises Problem."""
        return {str(member): member.default for member in self} | self.given()

    def given(self) -> dict[str, Any]:
        """Only those members of the request's body that are there and not null. Raises Problem."""
        given = read_object(optional=self.optional)
        for name in given:
            if name not in self:
                raise Problem(
                    400, f"there is no member {name[:60]!r}", field=name[:60], fix=f"known: {', '.join(self)}"
                )
        found: dict[str, Any] = {}
        for member in self:
            value = given.get(str(member))
            if value is None and member.required:
                raise member.problem(f"a {member} is needed", member.help)
            if value is not None:
                found[str(member)] = member.accept(value)
        return found

    def schema(self) -> dict[str, Any]:
        """As JSON Schema."""
        return {
            "type": "object",
            "properties": {str(member): described(member) for member in self},
            "required": [str(member) for member in self if member.required],
            "additionalProperties": False,
        }


def described(member: Member[Any]) -> dict[str, Any]:
    """The schema of a member with what it is for."""
    return member.schema() | ({"description": member.help} if member.help else {})


def read_object(*, optional: bool = False) -> dict[str, Any]:
    """The request's body, a JSON object; {} for no body where it is optional. Raises Problem."""
    body = read_body(request.stream, content_encoding="", content_length=request.content_length, limit=MAX_BYTES)
    if not body and optional:
        return {}
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"not JSON: {error}", field="body", fix="send one JSON object") from error
    if not isinstance(found, dict):
        raise Problem(400, "not a JSON object", field="body", fix="send one JSON object")
    return found
