"""`monitoring logs`: search, and follow, on the command line."""

from __future__ import annotations

import contextlib
import sys
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click
import orjson

from monitoring.cli.charts import bars, facet_tables, pattern_lines, stat_table
from monitoring.cli.lines import event_lines
from monitoring.cli.searches import saved_query
from monitoring.cli.sources import Counted, Found, Source, open_source
from monitoring.pipeline import settings
from monitoring.pipeline.clock import wall_ns
from monitoring.pipeline.errors import QuerySyntaxError, RetryableError, StoreCorrupt
from monitoring.pipeline.query.advice import advice
from monitoring.pipeline.query.aggregate import AggregateInvalid, aggregates
from monitoring.pipeline.query.context import MAX_NEIGHBOURS
from monitoring.pipeline.query.export import EXPORT_PAGE, FORMATS, Format, header, lines
from monitoring.pipeline.query.facets import MAX_VALUES
from monitoring.pipeline.query.follow import POLL_SECONDS, Follower
from monitoring.pipeline.query.histogram import MAX_BUCKETS
from monitoring.pipeline.query.parse import parse
from monitoring.pipeline.query.patterns import MAX_PATTERNS
from monitoring.pipeline.query.ranges import LATEST, format_ns, moment
from monitoring.pipeline.query.search import Order
from monitoring.pipeline.query.statistics import MAX_ROWS

__all__ = ["logs", "moment_option"]

PAGE = 1000
_BEHIND_NS = 5_000_000_000
"""A store that lags further behind than this is worth a word."""


def moment_option(context: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """A time of the command line, nanoseconds since 1970."""
    try:
        return None if value is None else moment(value, wall_ns())
    except QuerySyntaxError as error:
        raise click.BadParameter(f"{value!r} is no time: write one {error.hint}", context, param) from None


def _names(context: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """Names of fields, divided by commas."""
    if value is None:
        return None
    found = tuple(dict.fromkeys(name.strip() for name in value.split(",")))
    if not all(found):
        raise click.BadParameter("a list of fields, like service,user_id", context, param)
    return found


def _aggregates(context: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """A list of aggregates that can be understood."""
    try:
        return value if value is None or aggregates(value) else None
    except AggregateInvalid as error:
        raise click.BadParameter(str(error), context, param) from None


# `-healthcheck` is part of a query, so the command has no short options.
@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("query", nargs=-1)
@click.option(
    "--since",
    metavar="TIME",
    callback=moment_option,
    default="1h",
    show_default=True,
    help="From here: 15m, 2026-05-01.",
)
@click.option(
    "--until", metavar="TIME", callback=moment_option, help="Up to here, exclusive.  [default: whatever is there]"
)
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Events at most.")
@click.option("--newest-first/--oldest-first", default=True, help="Which come first, and are kept.  [default: newest]")
@click.option("--json", "as_json", is_flag=True, help="For programs: an event a line, as JSON.")
@click.option("--follow", is_flag=True, help="The newest, oldest first, and then what arrives, until Ctrl-C.")
@click.option(
    "--context",
    type=click.IntRange(0, MAX_NEIGHBOURS),
    help="Around each event so many more, before and after, of its service and host.",
)
@click.option("--saved", metavar="NAME", help="A search that was saved (`monitoring searches`), QUERY beside it.")
@click.option("--histogram", is_flag=True, help="Instead of events: how many, by time and level.")
@click.option("--facets", metavar="FIELDS", callback=_names, help="Their commonest values, like service,user_id.")
@click.option("--stats", metavar="LIST", callback=_aggregates, help="Like count,rate,p95(duration_ms).")
@click.option("--by", metavar="FIELDS", callback=_names, help="Groups of --stats, like service,time.")
@click.option("--patterns", is_flag=True, help="Similar messages folded to templates, the commonest first.")
@click.option("--export", type=click.Choice(FORMATS), help="All that matches, the oldest first, without a limit.")
@click.option(
    "--buckets",
    type=click.IntRange(1, MAX_BUCKETS),
    default=40,
    show_default=True,
    help="Bars of a histogram or groups of time, about.",
)
def logs(
    query: tuple[str, ...],
    since: int,
    until: int | None,
    limit: int,
    newest_first: bool,
    as_json: bool,
    follow: bool,
    context: int | None,
    saved: str | None,
    histogram: bool,
    facets: tuple[str, ...] | None,
    stats: str | None,
    by: tuple[str, ...] | None,
    patterns: bool,
    export: Format | None,
    buckets: int,
) -> None:
    """Search the logs.

    \b
    Examples:
        monitoring logs timeout
        monitoring logs '"connection refused" level:>=warning' --since 2d
        monitoring logs 'service:api duration_ms:>500 -healthcheck' --json
        monitoring logs level:error --follow
        monitoring logs 'service:api timeout' --since 1d --histogram
        monitoring logs level:error --facets service,user_id --limit 5
        monitoring logs 'trace_id:4bf92f35*' --since 7d --export csv > evidence.csv
        monitoring logs --stats 'count,p95(duration_ms)' --by service

    Words and phrases are looked for anywhere in an event; field:value in one field.
    """
    text = " ".join(query)
    if saved is not None:
        text = f"({saved_query(settings.load(), saved) or '*'}) {text}"
    _check(
        query,
        text,
        follow=follow,
        since=since,
        until=until,
        alone=bool(histogram or facets or stats or patterns or export or context is not None),
    )
    write = _json_line if as_json else event_lines
    with open_source(settings.load()) as source:
        if follow:
            _follow(source, text, since, limit, write)
            return
        end = LATEST if until is None else until
        if export:
            _export(source, text, since, end, export)
            return
        counted = None
        if histogram:
            counted = source.histogram(text, since, end, buckets=buckets), bars
        elif facets:
            counted = source.facets(text, since, end, fields=facets, limit=min(limit, MAX_VALUES)), facet_tables
        elif stats:
            counted = source.stats(
                text, since, end, group_by=by or (), wanted=stats, buckets=buckets, limit=min(limit, MAX_ROWS)
            ), stat_table  # fmt: skip
        elif patterns:
            counted = source.patterns(text, since, end, limit=min(limit, MAX_PATTERNS)), pattern_lines
        if counted:
            _show(*counted, as_json)
            _say_behind(source, end)
            return
        shown = 0
        for page in _pages(source, text, since, end, "newest" if newest_first else "oldest", limit):
            for event in page.events if context is None else _surrounded(source, page.events, context):
                click.echo("--" if event is None else write(event))
            shown += len(page.events)
            _say_partial(page.partial)
        if not shown:
            _say_empty(text, since, until)
        _say_behind(source, end)


def _check(
    query: tuple[str, ...], text: str, *, follow: bool, since: int, until: int | None, alone: bool
) -> None:  # fmt: skip
    """End here, and say why, where this cannot be run; say what may have been meant otherwise."""
    for word in query:
        if word.startswith("--"):
            raise click.UsageError(f"no option {word}; to search for such a word, put it in double quotes")
    if follow and until is not None:
        raise click.UsageError("--follow has no end: leave --until out")
    if follow and alone:
        raise click.UsageError("--follow shows events as they arrive, and nothing else")
    if until is not None and since > until:
        raise click.UsageError(f"--until {_brief(until)} is before --since {_brief(since)} (left out: an hour ago)")
    try:
        parse(text)
    except QuerySyntaxError as error:
        click.echo(f"monitoring: {error}", err=True)
        click.echo(_pointed(text, error.column), err=True)
        raise click.exceptions.Exit(2) from None
    for hint in advice(text):
        _say(hint)


def _pointed(text: str, column: int) -> str:
    """The query with a caret below the column; of a long one, the part around it."""
    shown = "".join(char if char.isprintable() else "?" for char in text)
    start = max(0, column - 60)
    before, window = shown[start : column - 1], shown[start : start + 100]
    width = sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in before)
    return f"  {window}\n  {' ' * width}^"


def _show(found: Counted, draw: Callable[[dict[str, Any]], Iterable[str]], as_json: bool) -> None:
    """An analysis on the screen."""
    for line in [_json_line(found.document)] if as_json else draw(found.document):
        click.echo(line)
    _say_partial(found.partial)


def _surrounded(source: Source, events: list[dict[str, Any]], neighbours: int) -> Iterator[dict[str, Any] | None]:
    """Each event among its neighbours, the oldest first; None between groups, of which no two in a row share one."""
    before: set[str] = set()
    for event in events:
        group = source.context(event["id"], neighbours)
        fresh = [each for each in group if each["id"] not in before]
        if before and fresh:
            yield None
        yield from fresh
        before = {each["id"] for each in group}


def _export(source: Source, query: str, start: int, end: int, form: Format) -> None:
    """Everything on standard output. Ends with 1 where something could not be read."""
    out = sys.stdout.buffer
    out.write(header(form))
    cursor, damaged = None, None
    while True:
        page = source.page(query, start, end, order="oldest", limit=EXPORT_PAGE, cursor=cursor)
        out.write(lines(page.events, form))
        if page.partial not in (None, "time", "size"):
            damaged = page.partial
        cursor = page.next_cursor
        if cursor is None:
            break
    out.flush()
    if damaged:
        raise StoreCorrupt(f"the export is not whole: {damaged}")


def _pages(source: Source, query: str, start: int, end: int, order: Order, limit: int) -> Iterator[Found]:
    cursor = None
    while limit > 0:
        page = source.page(query, start, end, order=order, limit=min(limit, PAGE), cursor=cursor)
        yield page
        limit -= len(page.events)
        cursor = page.next_cursor
        if cursor is None or page.partial == "time":
            return


def _follow(source: Source, query: str, start: int, limit: int, write: Callable[[dict[str, Any]], str]) -> None:
    follower = Follower(source, query, wall_ns)
    away = False
    with contextlib.suppress(KeyboardInterrupt):  # the way to end following
        events = follower.begin(start, limit)
        while True:
            for event in events:
                click.echo(write(event))
            if follower.missed:
                _say(f"{follower.missed:,} events came faster than they can be shown and were left out")
            time.sleep(POLL_SECONDS)
            try:
                events, away = follower.look(), False
            except RetryableError as error:
                if not away:
                    _say(f"{error}; trying again")
                events, away = [], True


def _json_line(event: dict[str, Any]) -> str:
    return orjson.dumps(event).decode()


def _say_partial(reason: str | None) -> None:
    if reason == "time":
        _say("the time limit cut the search short: narrow the query or the range, or raise MONITORING_QUERY_TIMEOUT")
    elif reason not in (None, "size"):
        _say(f"not all could be read: {reason}")


def _say_empty(query: str, start: int, until: int | None) -> None:
    what = f"no event matches {query}" if query.strip() not in ("", "*") else "no event"
    to = "now" if until is None else _brief(until)
    _say(f"{what} from {_brief(start)} to {to}; --since 7d looks further back")


def _say_behind(source: Source, end: int) -> None:
    complete = source.complete_through()
    if complete is not None and complete < min(end, wall_ns() - _BEHIND_NS):
        _say(f"what was sent after {_brief(complete)} may still be on its way; `monitoring status` shows the lag")


def _brief(timestamp: int) -> str:
    return format_ns(max(0, timestamp))[:19] + "Z"


def _say(text: str) -> None:
    click.echo(click.style(text, dim=True), err=True)
