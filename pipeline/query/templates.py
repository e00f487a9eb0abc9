"""Messages folded to templates: what varies becomes `<*>`.

Method: He, Zhu, Zheng, Lyu, "Drain: An Online Log Parsing Approach with Fixed Depth Tree", ICWS 2017. A message goes by
its number of words and its first words to a small group of templates, joins the one that it is most like, and what they
do not share becomes variable. Before that, what is certainly variable (numbers, hexadecimal ids) is taken out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["MAX_TEMPLATES", "VARIABLE", "Template", "Templates"]

VARIABLE = "<*>"
_LEADING = 1
"""Words that a template's messages share at their beginning: the second is as often a name (`job alpha finished`)."""
_ALIKE = 0.5
"""Share of equal words from which a message belongs to a template; the paper's range is 0.3 to 0.5. Less, and short
messages that share their verb fold into one."""
_WORDS = 60
"""Words that are looked at; what comes behind is `<*>`."""
_CHARACTERS = 2000
"""Of a message's first line."""
MAX_TEMPLATES = 5000
"""Templates that are kept: messages that are all different (a body dumped into the log) must not cost more each."""

_CERTAIN = re.compile(
    r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"  # UUID
    r"|\b0[xX][0-9a-fA-F]+\b"
    r"|\b(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{8,}\b"
    r"|(?<![^\W\d_])[-+]?\d+(?:[.:,_-]\d+)*"  # numbers, times, versions, addresses
)


@dataclass(slots=True, eq=False)
class Template:
    """What a group of messages has in common."""

    words: list[str]

    @property
    def text(self) -> str:
        """The template, `<*>` where messages differ."""
        return " ".join(self.words)


class Templates:
    """Templates of the messages that were shown so far. Depends on their order, as the method does."""

    def __init__(self) -> None:
        self._groups: dict[tuple[int, tuple[str, ...]], list[Template]] = {}
        self._masked: dict[str, Template] = {}
        self._count = 0
        self._rest = Template([VARIABLE])

    def fold(self, message: str) -> Template:
        """The template that a message belongs to, which this may have made more general."""
        masked = _CERTAIN.sub(VARIABLE, message[:_CHARACTERS].partition("\n")[0])
        known = self._masked.get(masked)
        if known is None:
            if len(self._masked) >= MAX_TEMPLATES:
                self._masked.clear()
            known = self._masked[masked] = self._folded(masked.split())
        return known

    def _folded(self, words: list[str]) -> Template:
        if len(words) > _WORDS:
            words = [*words[:_WORDS], VARIABLE]
        leading = tuple(VARIABLE if VARIABLE in word else word for word in words[:_LEADING])
        group = self._groups.setdefault((len(words), leading), [])
        best = max(group, key=lambda template: _alike(template.words, words), default=None)
        if best is not None and _alike(best.words, words) >= _ALIKE:
            best.words = [mine if mine == other else VARIABLE for mine, other in zip(best.words, words, strict=True)]
            return best
        if self._count >= MAX_TEMPLATES:
            return self._rest
        self._count += 1
        group.append(Template(words))
        return group[-1]


def _alike(template: list[str], words: list[str]) -> float:
    """The share of words that are equal and no variables."""
    if not words:
        return 1.0
    same = sum(mine == other for mine, other in zip(template, words, strict=True))
    return same / len(words)
