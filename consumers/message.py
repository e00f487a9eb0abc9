"""What a message says: out of the notices that it carries, for every kind of channel the same. Pure.

notices -> the last of each alert, worst first -> facts: what, where, since when, how much, an example, links
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from monitoring.pipeline.store.outbox import Message, Notice

__all__ = ["SHOWN", "Alert", "Content", "compose", "one_line", "to_html", "to_text"]

SHOWN = 20
"""Alerts that a message describes; of the others it says how many. More than a screen nobody reads at night."""
MOST_SAMPLES = 5
_LONGEST_LINE = 400
_MOST_LINES = 20
_LONGEST_TITLE = 150
_WORDS = {
    "firing": "firing", "resolved": "resolved", "escalated": "not acknowledged", "acknowledged": "acknowledged",
    "undeliverable": "undeliverable", "test": "test",
}  # fmt: skip
_RANKS = {"critical": 0, "warning": 1, "info": 2}
_PLACES = ("service", "environment", "host", "instance", "device", "mountpoint", "route", "job")
"""Labels that say where, in this order; what else there is follows."""
_LINKS = ("alert", "logs", "metric", "acknowledge")
_TRACES = ("trace_id", "run_id", "request_id")


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert as people read it; every text is one printable line, the description several; "" is not known."""

    event: str
    id: str
    rule: str
    severity: str
    summary: str
    description: str
    where: str
    since: str
    until: str
    value: str
    who: str
    runbook: str
    samples: tuple[str, ...]
    traces: tuple[str, ...]
    links: Mapping[str, str]

    @property
    def word(self) -> str:
        """What has become of it, in a word or two."""
        return _WORDS.get(self.event, self.event)

    def facts(self) -> list[tuple[str, str]]:
        """Name and value of what is known."""
        rows = [
            ("Rule", self.rule), ("Severity", self.severity), ("Where", self.where), ("Since", self.since),
            ("Until", self.until), ("Value", self.value), ("Acknowledged by", self.who), ("Runbook", self.runbook),
        ]  # fmt: skip
        return [(name, value) for name, value in (*rows, *(("Trace", trace) for trace in self.traces)) if value]


@dataclass(frozen=True, slots=True)
class Content:
    """A whole message. `event` is that of the worst alert, `more` how many are not described."""

    title: str
    event: str
    severity: str
    alerts: tuple[Alert, ...]
    more: int
    link: str

    @property
    def resolved(self) -> bool:
        """Whether it says of all its alerts that they are over."""
        return self.event == "resolved"


def compose(message: Message, public_url: str) -> Content:
    """The content of a message. `public_url` is where the dashboard is reached."""
    latest: dict[str, Alert] = {}
    for notice in message.notices:
        alert = _alert(notice, public_url)
        latest.pop(alert.id, None)
        latest[alert.id] = alert
    alerts = sorted(latest.values(), key=lambda alert: (alert.event == "resolved", _RANKS.get(alert.severity, 3)))
    worst = alerts[0]
    link = worst.links.get("alert", "") if len(alerts) == 1 else f"{public_url}/alerts"
    return Content(_title(alerts), worst.event, worst.severity, tuple(alerts[:SHOWN]), len(alerts[SHOWN:]), link)


def _title(alerts: list[Alert]) -> str:
    worst = alerts[0]
    if len(alerts) == 1:
        mark = worst.severity.upper() if worst.event == "firing" and worst.severity else worst.word.upper()
        place = f" ({worst.where})" if worst.where and worst.where not in worst.summary else ""
        return one_line(f"[{mark}] {worst.summary}{place}", _LONGEST_TITLE)
    counts: dict[str, int] = {}
    for alert in alerts:
        counts[alert.word] = counts.get(alert.word, 0) + 1
    said = ", ".join(f"{count} {word}" for word, count in counts.items())
    mark = worst.severity.upper() if worst.event != "resolved" and worst.severity else worst.word.upper()
    return one_line(f"[{mark}] {len(alerts)} alerts: {said}", _LONGEST_TITLE)


def _alert(notice: Notice, public_url: str) -> Alert:
    body = _object(notice.body)
    labels, notes, links = (_member(body, name) for name in ("labels", "annotations", "links"))
    identity = str(body.get("id") or notice.key)
    rule = one_line(body.get("rule"))
    found = body.get("samples")
    samples = [each for each in found if isinstance(each, dict)][:MOST_SAMPLES] if isinstance(found, list) else []
    known = {name: str(links[name]) for name in _LINKS if links.get(name)}
    over = notice.event == "resolved"
    return Alert(
        event=notice.event,
        id=identity,
        rule=rule,
        severity=one_line(body.get("severity")),
        summary=one_line(body.get("summary") or notes.get("summary") or rule or notice.event),
        description=_lines(body.get("description") or notes.get("description")),
        where=_where(labels),
        since=_moment(body.get("started_at")),
        until=_moment(body.get("resolved_at") or body.get("updated_at")) if over else "",
        value=_value(body),
        who=one_line(body.get("acknowledged_by")),
        runbook=one_line(body.get("runbook") or notes.get("runbook")),
        samples=tuple(filter(None, map(_sample, samples))),
        traces=tuple(_traces(samples, labels)),
        links={"alert": f"{public_url}/alerts/{identity}", **known} if notice.event != "test" else known,
    )


def _object(body: bytes) -> dict[str, Any]:
    """The alert's members; a body that is none is no reason to keep the notice from going out."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _lines(value: Any) -> str:
    """A text of some printable lines, as a description with log lines is."""
    found = [one_line(line) for line in str(value or "").splitlines()[:_MOST_LINES]]
    return "\n".join(line for line in found if line)[: 4 * _LONGEST_LINE]


def _member(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = body.get(name)
    return found if isinstance(found, dict) else {}


def _where(labels: Mapping[str, Any]) -> str:
    names = [name for name in _PLACES if name in labels]
    names += [name for name in labels if name not in _PLACES and name not in ("severity", "alertname", "rule")]
    return one_line(", ".join(f"{name}={labels[name]}" for name in names))


def _moment(value: Any) -> str:
    """A time as the API has it, to the second."""
    return re.sub(r"\.\d+(?=Z$)", "", one_line(value))


def _value(body: Mapping[str, Any]) -> str:
    value, threshold = body.get("value"), body.get("threshold")
    if value is None:
        return ""
    found = _number(value)
    if threshold is None:
        return found
    return f"{found} (threshold {one_line(body.get('operator') or '')}{_number(threshold)})"


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) and not isinstance(value, bool) else one_line(value)


def _sample(event: Mapping[str, Any]) -> str:
    parts = (event.get("timestamp"), event.get("level"), event.get("service"), event.get("message"))
    return one_line(" ".join(str(part) for part in parts if part))


def _traces(samples: Iterable[Mapping[str, Any]], labels: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for source in (labels, *samples):
        for name in _TRACES:
            value = source.get(name) or _member(source, "attributes").get(name)
            if value:
                found.append(one_line(f"{name}={value}", 100))
    return list(dict.fromkeys(found))[:3]


def one_line(value: Any, longest: int = _LONGEST_LINE) -> str:
    """Any value as one printable line of bounded length: nothing that ends a header or paints a terminal."""
    if value is None:
        return ""
    text = " ".join("".join(char if char.isprintable() else " " for char in str(value)[: 4 * longest]).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def to_text(content: Content) -> str:
    """As plain text."""
    lines = []
    for alert in content.alerts:
        lines += [f"{alert.word.upper()}: {alert.summary}"]
        lines += [alert.description] if alert.description else []
        lines += [f"  {name + ':':<16} {value}" for name, value in alert.facts()]
        lines += ["  Example:" if len(alert.samples) == 1 else "  Examples:"] if alert.samples else []
        lines += [f"    {sample}" for sample in alert.samples]
        lines += [f"  {name.capitalize() + ':':<16} {link}" for name, link in alert.links.items()]
        lines.append("")
    if content.more:
        lines += [f"and {content.more} more: {content.link}", ""]
    return "\n".join(lines)


_COLOURS = {"critical": "#b3261e", "warning": "#b26a00", "info": "#1f5fa8"}
RESOLVED_COLOUR = "#1b7f3b"


def colour(severity: str, *, resolved: bool) -> str:
    """The colour of a message, dark enough for white text on it (WCAG AA)."""
    return RESOLVED_COLOUR if resolved else _COLOURS.get(severity, "#555555")


def to_html(content: Content) -> str:
    """As a page of HTML without anything that is loaded or run."""
    parts = [
        '<!doctype html><html><body style="font-family:sans-serif;font-size:14px;color:#222">',
        *(_alert_html(alert) for alert in content.alerts),
    ]
    if content.more:
        parts.append(f"<p>and {content.more} more: {_anchor('all alerts', content.link)}</p>")
    return "\n".join((*parts, "</body></html>"))


def _alert_html(alert: Alert) -> str:
    shade = colour(alert.severity, resolved=alert.event == "resolved")
    head = html.escape(f"{alert.word}: {alert.summary}")
    rows = "".join(
        f'<tr><td style="color:#666;padding-right:12px">{html.escape(name)}</td><td>{html.escape(value)}</td></tr>'
        for name, value in alert.facts()
    )
    said = html.escape(alert.description).replace("\n", "<br>")
    words = f"<p>{said}</p>" if said else ""
    lines = html.escape("\n".join(alert.samples))
    examples = f'<pre style="background:#f4f4f4;padding:8px;white-space:pre-wrap">{lines}</pre>' if lines else ""
    links = " · ".join(_anchor(name, link) for name, link in alert.links.items())
    return (
        f'<div style="border-left:4px solid {shade};padding-left:12px;margin-bottom:16px">'
        f'<h3 style="color:{shade};margin:0 0 8px">{head}</h3>{words}<table>{rows}</table>{examples}'
        f"<p>{links}</p></div>"
    )


def _anchor(name: str, link: str) -> str:
    if not link.startswith(("http://", "https://")):
        return html.escape(name)
    return f'<a href="{html.escape(link)}">{html.escape(name)}</a>'
