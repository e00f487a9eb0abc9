"""A table as people read it, which is Markdown too, and as a program does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Table", "holds", "spread"]


def holds(figure: float, budget: float | None) -> str:
    """Whether a figure keeps within its budget, in a word; "" where there is none."""
    return "" if budget is None else "yes" if figure <= budget else "NO"


def spread(figures: Sequence[float]) -> str:
    """The least and the greatest."""
    return f"{_figure(min(figures))}..{_figure(max(figures))}"


@dataclass
class Table:
    """Rows in groups, each with a title and values by column; a value that a row lacks is left blank."""

    part: str
    title: str
    columns: tuple[str, ...]
    rows: list[dict[str, Any]] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    _group: str = ""

    def group(self, title: str) -> None:
        """The rows that follow belong together."""
        self._group = title

    def add(self, key: str, title: str, **values: Any) -> None:
        """A row; values of names that are no column are for the program only."""
        self.rows.append({"key": key, "group": self._group, "name": title, **values})

    def leave_out(self, title: str, reason: str) -> None:
        """Say that a row is not there, and why."""
        self.left_out[title] = reason

    def as_json(self) -> dict[str, Any]:
        """For results-sdk.json."""
        return {"title": self.title, "rows": self.rows, "left_out": self.left_out}

    def __str__(self) -> str:
        lines = [(self.title, *self.columns)]
        group = ""
        for row in self.rows:
            if row["group"] != group and row["group"]:
                lines.append((f"*{row['group']}*", *("" for _ in self.columns)))
            group = row["group"]
            lines.append((row["name"], *(_shown(row.get(column)) for column in self.columns)))
        widths = [max(len(line[index]) for line in lines) for index in range(len(lines[0]))]
        shown = [_line(line, widths) for line in lines]
        rule = "|" + "|".join("-" * (width + 1) + (":" if index else "-") for index, width in enumerate(widths)) + "|"
        missing = [f"left out: {title} ({reason})" for title, reason in self.left_out.items()]
        return "\n".join([shown[0], rule, *shown[1:], *(["", *missing] if missing else [])])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0].ljust(widths[0])
    rest = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
    return "| " + " | ".join((first, *rest)) + " |"


def _shown(value: Any) -> str:
    return "" if value is None else _figure(value) if isinstance(value, int | float) else str(value)


def _figure(value: float) -> str:
    """Three digits or so: more would be noise."""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
