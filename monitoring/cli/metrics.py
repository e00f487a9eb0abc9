"""`monitoring metrics`: PromQL on the command line, drawn as a chart or printed as numbers."""

from __future__ import annotations

import contextlib
import difflib
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
import orjson

from monitoring.cli.access import is_local, remote
from monitoring.cli.charts import table
from monitoring.cli.lines import safe
from monitoring.cli.plot import COLOURS, Line, figure, plot
from monitoring.cli.search import moment_option
from monitoring.pipeline import settings
from monitoring.pipeline.clock import rfc3339, wall_ns
from monitoring.pipeline.query.limits import Deadline
from monitoring.pipeline.query.named import NAMED
from monitoring.pipeline.settings import Settings

__all__ = ["metrics"]

_MS = 1_000_000
_POINTS = 120
"""Steps of a chart for which no step was given: a terminal shows two a column."""
_ROUND_SECONDS = (10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 86_400)
_ROWS = 15
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LEGEND = 12
"""Lines that are named below the chart; more are counted."""


@click.command()
@click.argument("expression", required=False, metavar="[EXPR]")
@click.option(
    "--since", metavar="TIME", callback=moment_option, default="1h", show_default=True,
    help="From here: 6h, 2026-05-01.",
)  # fmt: skip
@click.option("--until", metavar="TIME", callback=moment_option, help="Up to here.  [default: now]")
@click.option("--step", metavar="DURATION", help="Between two values: 30s, 5m.  [default: by the range]")
@click.option("--now", "instant", is_flag=True, help="Only the newest value of each series, as a table.")
@click.option("--list", "listing", is_flag=True, help="The queries that have a name.")
@click.option("--json", "as_json", is_flag=True, help="For programs: what Prometheus' API answers.")
def metrics(
    expression: str | None, since: int, until: int | None, step: str | None, instant: bool, listing: bool, as_json: bool
) -> None:
    """Draw the values of a PromQL expression, or of a query that has a name.

    \b
        monitoring metrics request_rate --since 6h
        monitoring metrics 'sum by (service) (rate(http_server_request_duration_seconds_count[5m]))'
        monitoring metrics system_memory_usage_ratio --now
        monitoring metrics --list
    """
    if listing:
        _list(as_json)
        return
    if not expression:
        raise click.UsageError("an expression is needed, or a name out of `monitoring metrics --list`")
    end = (wall_ns() if until is None else until) // _MS
    start = since // _MS
    if start >= end:
        raise click.UsageError("--since is not before --until")
    chosen, named = settings.load(), NAMED.get(expression)
    asked: dict[str, Any] = {"query": named.expr if named else expression}
    asked |= {"time": end} if instant else {"start": start, "end": end, "step": _step(step, end - start)}
    answer = _ask(chosen, "query" if instant else "query_range", asked)
    if as_json:
        click.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2))
        return
    for line in _rendered(answer["data"], asked, named.unit if named else ""):
        click.echo(line)
    if _NAME.fullmatch(expression) and not answer["data"]["result"]:
        for line in _nearest(expression, [*NAMED, *_names(chosen)]):
            click.echo(line)
    for note in (*answer.get("warnings", ()), *answer.get("infos", ())):
        click.echo(f"monitoring: {safe(note)}", err=True)


def _nearest(name: str, known: Sequence[str]) -> Iterator[str]:
    """What else may have been meant by a name that nothing has."""
    near = difflib.get_close_matches(name, known, n=3)
    if name not in known and near:
        yield f"nothing is called {name!r}; did you mean {' or '.join(near)}?"


def _names(chosen: Settings) -> list[str]:
    """The names of all metrics. Raises PermanentError."""
    if not is_local(chosen):
        found: list[str] = remote(chosen).ask("prometheus/api/v1/label/__name__/values", {})["data"]
        return found
    from monitoring.pipeline.query.ranges import LATEST
    from monitoring.pipeline.store.metric_source import MetricSource
    from monitoring.pipeline.store.metrics import open_metrics

    with contextlib.closing(open_metrics(chosen)) as store:
        source = MetricSource(store, deadline=Deadline(chosen.number("query_timeout")))
        return source.label_values("__name__", [], 0, LATEST // _MS)


def _list(as_json: bool) -> None:
    if as_json:
        found = [{"name": name, **query._asdict()} for name, query in NAMED.items()]
        click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2))
        return
    for line in table(["name", "unit", "what it tells"], [[name, q.unit, q.about] for name, q in NAMED.items()]):
        click.echo(line)


def _step(text: str | None, span_ms: int) -> int:
    """Milliseconds between two values."""
    if text is None:
        least = span_ms / 1000 / _POINTS
        return next((each for each in _ROUND_SECONDS if each >= least), int(least) + 1) * 1000
    from monitoring.pipeline.query.promql.errors import PromqlError
    from monitoring.pipeline.query.promql.wire import step_ms

    try:
        found = step_ms(text, "step")
    except PromqlError:
        found = 0
    if found <= 0:
        raise click.BadParameter(f"{text!r} is no duration: write one like 30s or 5m", param_hint="--step")
    return found


# ---------------------------------------------------------------------- asked


def _ask(chosen: Settings, what: str, asked: Mapping[str, Any]) -> Any:
    """The document that Prometheus' API answers. Raises PermanentError."""
    if is_local(chosen):
        return _asked_here(chosen, asked)
    seconds = {name: str(value / 1000) if name != "query" else value for name, value in asked.items()}
    return remote(chosen).ask(f"prometheus/api/v1/{what}", seconds)


def _asked_here(chosen: Settings, asked: Mapping[str, Any]) -> Any:
    from monitoring.pipeline.query.promql import engine, wire
    from monitoring.pipeline.store.metric_source import MetricSource
    from monitoring.pipeline.store.metrics import open_metrics

    deadline = Deadline(chosen.number("query_timeout"))
    with contextlib.closing(open_metrics(chosen)) as store:
        source = MetricSource(store, deadline=deadline)
        if "time" in asked:
            found = engine.instant(source, asked["query"], asked["time"], deadline=deadline)
        else:
            wire.check_range(asked["start"], asked["end"], asked["step"])
            found = engine.ranged(
                source, asked["query"], asked["start"], asked["end"], asked["step"], deadline=deadline
            )
    return orjson.loads(wire.encode_answer(found, asked.get("time", 0)))


# ---------------------------------------------------------------------- shown


def _rendered(data: Mapping[str, Any], asked: Mapping[str, Any], unit: str) -> Iterator[str]:
    kind, result = data["resultType"], data["result"]
    if kind in ("scalar", "string"):
        yield result[1]
    elif not result:
        yield "no series has a value there; `monitoring metrics --list` names queries, docs/metrics.md the families"
    elif "time" in asked and kind == "matrix":
        rows = [
            [_title(each["metric"]), rfc3339(round(time * 1000) * _MS), figure(float(text))]
            for each in result
            for time, text in each["values"]
        ]
        yield from table(["series", "at", f"value {unit}".rstrip()], rows)
    elif kind == "vector":
        rows = [[_title(each["metric"]), figure(float(each["value"][1]))] for each in result]
        yield from table(["series", f"value {unit}".rstrip()], rows)
    else:
        yield from _chart(result, asked, unit)


def _chart(result: Sequence[Mapping[str, Any]], asked: Mapping[str, Any], unit: str) -> Iterator[str]:
    step = asked["step"] / 1000
    lines = [
        Line(_title(each["metric"]), list(_with_gaps([(time, float(text)) for time, text in each["values"]], step)))
        for each in result
    ]
    width, _ = shutil.get_terminal_size()
    yield click.style(" ".join(filter(None, (asked["query"], f"[{unit}]" if unit else ""))), bold=True)
    yield from plot(lines, asked["start"] / 1000, asked["end"] / 1000, width=width, height=_ROWS)
    for number, line in enumerate(lines[:_LEGEND]):
        mark = click.style("━━", fg=COLOURS[number % len(COLOURS)])
        yield f"{mark} {line.label}  last {figure(line.points[-1][1])}"
    if len(lines) > _LEGEND:
        yield f"and {len(lines) - _LEGEND} more: narrow the expression, or `--json`"


def _with_gaps(points: Sequence[tuple[float, float]], step: float) -> Iterator[tuple[float, float]]:
    """The points, with nothing where steps are missing between two."""
    before = None
    for time, value in points:
        if before is not None and time - before > step * 1.5:
            yield before + step, float("nan")
        yield time, value
        before = time


def _title(labels: Mapping[str, str]) -> str:
    name = labels.get("__name__", "")
    inner = ", ".join(f"{key}={safe(value)}" for key, value in labels.items() if key != "__name__")
    return f"{name}{{{inner}}}" if inner or not name else name
