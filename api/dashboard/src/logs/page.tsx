import { useQueryClient, type InfiniteData } from "@tanstack/react-query";
import { useCallback, useMemo, useState, type ReactNode } from "react";
import { address, ApiError, serverNow } from "../lib/client";
import { count, duration } from "../lib/format";
import { useKeys } from "../lib/keyboard";
import { usePreference } from "../lib/preferences";
import { markedWords, toggleTerm } from "../lib/query";
import { dayOf } from "../lib/time";
import type { LogPage } from "../lib/types";
import { useAddress, useRange } from "../lib/url";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Menu, MenuItem } from "../ui/menu";
import { Copy, Empty, Failure, Snippet, Waiting } from "../ui/notice";
import { Tabs } from "../ui/panel";
import { ContextDialog } from "./context";
import { eventsOf, FACET_FIELDS, useEvent, useEvents, useFacets, useHistogram } from "./data";
import { EventDetail, flatten } from "./event";
import { FacetList } from "./facets";
import { Histogram } from "./histogram";
import { Patterns } from "./patterns";
import { SavedSearches } from "./saved";
import { SearchBox } from "./searchbox";
import { EventTable } from "./table";
import { useTail } from "./tail";

type Tab = "events" | "patterns";

export default function Logs(): ReactNode {
  const client = useQueryClient();
  const [params, change] = useAddress();
  const { range, zone, setRange } = useRange();
  const query = params.get("query") ?? "";
  const live = params.get("live") === "1";
  const tab: Tab = params.get("tab") === "patterns" ? "patterns" : "events";
  const [facetsOpen, setFacetsOpen] = usePreference("facets");
  const [chartOpen, setChartOpen] = usePreference("histogram");
  const [facetSheet, setFacetSheet] = useState(false);
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const [active, setActive] = useState<string | null>(null);
  const [contextOf, setContextOf] = useState<string | null>(null);
  const [top, setTop] = useState(true);
  const [paused, setPaused] = useState(false);

  const asked = useMemo(() => ({ query, range }), [query, range]);
  const reading = !top || open.size > 0;
  const search = useEvents(asked, !live && tab === "events", reading);
  const tail = useTail(query, live && tab === "events", paused || reading);
  const histogram = useHistogram(asked, 80);
  const facets = useFacets(asked, FACET_FIELDS, facetsOpen === "open" || facetSheet);
  const found = useMemo(() => eventsOf(search.data), [search.data]);
  const events = live ? tail.events : found;
  const attributes = useMemo(() => [...new Set(events.slice(0, 200).flatMap((event) => flatten(event.attributes).map((entry) => entry.name)))].sort(), [events]);
  const marked = useMemo(() => pattern(query), [query]);

  const setQuery = useCallback((next: string) => (setOpen(new Set()), setActive(null), change({ query: next || null, event: null })), [change]);
  const onTerm = useCallback((one: string) => setQuery(toggleTerm(query, one)), [query, setQuery]);
  const onToggle = useCallback((id: string) => {
    setActive(id);
    setOpen((before) => {
      const next = new Set(before);
      if (!next.delete(id)) next.add(id);
      return next;
    });
  }, []);
  const onEnd = useCallback(() => {
    if (!live && search.hasNextPage && !search.isFetching) void search.fetchNextPage();
  }, [live, search]);
  const toNewest = () => {
    setOpen(new Set());
    setTop(true);
    setPaused(false);
    document.querySelector("[data-testid=events]")?.scrollTo({ top: 0 });
    const key = ["logs", "events", query, range.start, range.end];
    client.setQueryData<InfiniteData<LogPage>>(key, (data) => data && { pages: data.pages.slice(0, 1), pageParams: data.pageParams.slice(0, 1) });
    void client.invalidateQueries({ queryKey: ["logs"] });
  };
  const move = (by: number) => {
    const at = events.findIndex((event) => event.id === active);
    const next = events[Math.min(events.length - 1, Math.max(0, at + by))];
    if (next) setActive(next.id);
  };
  useKeys("Logs", [
    { keys: "/", does: "search", run: () => document.getElementById("search")?.focus() },
    { keys: "j", does: "next event", run: () => move(1) },
    { keys: "k", does: "previous event", run: () => move(-1) },
    { keys: "o", does: "open or close the event", run: () => active && onToggle(active) },
    { keys: "c", does: "the event among its neighbours", run: () => active && setContextOf(active) },
    { keys: "l", does: "live tail on or off", run: () => change({ live: live ? null : "1" }) },
    { keys: "p", does: "pause the live tail", run: () => setPaused(!paused) },
    { keys: "n", does: "to the newest", run: toNewest },
    { keys: "Escape", does: "close all events", run: () => setOpen(new Set()) },
  ]);

  const now = serverNow();
  const total = histogram.data?.buckets.reduce((sum, bucket) => sum + bucket.total, 0);
  const partial = search.data?.pages.at(-1)?.partial?.reason ?? histogram.data?.partial?.reason;
  const failure = live ? tail.error : search.error;
  const wrongQuery = failure ?? histogram.error;
  const download = (format: string) => address("/api/v1/logs/export", { query, start: range.start, end: range.end, format });

  return (
    <div className="flex h-full min-h-0 flex-col">
      <div className="flex flex-wrap items-start gap-2 px-3 pt-3 sm:px-4">
        <SearchBox query={query} range={range} attributes={attributes} error={wrongQuery} onSearch={setQuery} />
        <div className="flex gap-1.5">
          <Button icon={live ? "pause" : "play"} on={live} onClick={() => change({ live: live ? null : "1", tab: null })} className="h-9" title="Show what arrives, as it arrives (l)">
            Live
          </Button>
          <SavedSearches query={query} onSearch={setQuery} />
          <Menu label="" icon="more" title="More" className="h-9" align="right">
            {(close) => (
              <>
                <MenuItem href={download("ndjson")} onClick={close}>
                  Export as lines of JSON
                </MenuItem>
                <MenuItem href={download("csv")} onClick={close}>
                  Export as CSV
                </MenuItem>
                <div className="px-1 py-1">
                  <Copy text={location.href} label="Copy a link to this view" />
                </div>
              </>
            )}
          </Menu>
        </div>
      </div>

      {chartOpen === "open" && !(histogram.error && !histogram.data) && (
        <div className="mx-3 mt-2 rounded-lg border border-line bg-panel px-3 pt-2 pb-1 sm:mx-4">
          {histogram.data ? <Histogram answer={histogram.data} zone={zone} now={now} onZoom={setRange} height="h-14 sm:h-20" /> : histogram.isPending ? <div className="h-20" /> : null}
        </div>
      )}

      <div className="flex flex-wrap items-center gap-x-3 gap-y-1 px-3 py-1.5 sm:px-4">
        <Tabs<Tab>
          label="What to show"
          value={tab}
          onChange={(next) => change({ tab: next === "events" ? null : next, live: null })}
          options={[
            { value: "events", name: "Events" },
            { value: "patterns", name: "Patterns" },
          ]}
        />
        <p className="text-2xs text-soft tabular-nums" aria-live="polite">
          {live ? liveWords(tail.state, tail.events.length, tail.missed) : total !== undefined && `${count(total)} events`}
          {!live && search.data && <span className="max-sm:hidden"> · {duration((search.data.pages[0]?.took_ms ?? 0) / 1000)}</span>}
          {partial && <span className="text-warn"> · not all of it: {partial === "time" ? "the time was up, narrow the range" : partial}</span>}
        </p>
        <div className="ml-auto flex gap-1">
          <span className="max-lg:hidden">
            <Button small look="quiet" icon="filter" on={facetsOpen === "open"} onClick={() => setFacetsOpen(facetsOpen === "open" ? "shut" : "open")}>
              Fields
            </Button>
          </span>
          <span className="lg:hidden">
            <Button small look="quiet" icon="filter" onClick={() => setFacetSheet(true)}>
              Fields
            </Button>
          </span>
          <Button small look="quiet" icon="explore" on={chartOpen === "open"} onClick={() => setChartOpen(chartOpen === "open" ? "shut" : "open")}>
            <span className="max-sm:sr-only">Chart</span>
          </Button>
        </div>
      </div>

      <div className="flex min-h-0 flex-1 border-t border-line bg-panel">
        {facetsOpen === "open" && (
          <aside aria-label="Fields" className="w-52 shrink-0 overflow-auto border-r border-line max-lg:hidden" tabIndex={0}>
            {facets.error && !facets.data && wrongQuery === null ? <div className="p-2"><Failure error={facets.error} /></div> : <FacetList answer={facets.data} query={query} onTerm={onTerm} />}
          </aside>
        )}
        <div className="relative min-w-0 flex-1">
          <Newer live={live} waiting={tail.waiting} paused={paused} reading={reading} onNewest={toNewest} />
          {tab === "patterns" ? (
            <Patterns asked={asked} zone={zone} now={now} onTerm={onTerm} />
          ) : events.length === 0 ? (
            <Nothing pending={live ? tail.state === "connecting" : search.isPending} failure={failure} query={query} live={live} onRetry={() => void search.refetch()} onClear={() => setQuery("")} onLonger={() => setRange({ start: "-7d", end: "now" })} />
          ) : (
            <EventTable
              events={events}
              zone={zone}
              today={dayOf(now, zone)}
              open={open}
              active={active}
              marked={marked}
              onToggle={onToggle}
              onTerm={onTerm}
              onContext={setContextOf}
              onEnd={onEnd}
              onTop={setTop}
              footer={<Footer live={live} loading={search.isFetchingNextPage} more={search.hasNextPage} error={search.isFetchNextPageError ? search.error : null} onRetry={() => void search.fetchNextPage()} />}
            />
          )}
        </div>
      </div>

      {contextOf && <ContextDialog id={contextOf} zone={zone} onClose={() => setContextOf(null)} />}
      {params.get("event") && <OneEvent id={params.get("event")!} onClose={() => change({ event: null })} onTerm={onTerm} onContext={setContextOf} />}
      {facetSheet && (
        <Dialog title="Fields" onClose={() => setFacetSheet(false)}>
          <FacetList answer={facets.data} query={query} onTerm={onTerm} />
        </Dialog>
      )}
    </div>
  );
}

/** What matches the searched words, to be shown marked; one group, so that splitting keeps the words. */
function pattern(query: string): RegExp | null {
  const words = markedWords(query).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return words.length ? new RegExp(`(${words.join("|")})`, "gi") : null;
}

function liveWords(state: string, shown: number, missed: number): string {
  const words = state === "open" ? `live · ${count(shown)} shown` : state === "connecting" ? "connecting…" : "interrupted, connecting again…";
  return missed ? `${words} · ${count(missed)} came too fast to show` : words;
}

function Newer({ live, waiting, paused, reading, onNewest }: { live: boolean; waiting: number; paused: boolean; reading: boolean; onNewest: () => void }): ReactNode {
  if (live ? waiting === 0 && !paused : !reading) return null;
  return (
    <div className={`pointer-events-none absolute inset-x-0 z-20 flex justify-center ${live ? "top-2" : "bottom-3"}`}>
      <Button small look="main" icon="up" className="pointer-events-auto rounded-full px-3 shadow-lg" onClick={onNewest}>
        {live ? (waiting ? `${count(waiting)} new` : "Paused") : "To the newest"}
      </Button>
    </div>
  );
}

function Footer({ live, loading, more, error, onRetry }: { live: boolean; loading: boolean; more: boolean; error: unknown; onRetry: () => void }): ReactNode {
  if (error) {
    return (
      <div className="p-2">
        <Failure error={error} onRetry={onRetry} />
      </div>
    );
  }
  const words = live ? "Older events are in the search." : loading ? "Loading more…" : more ? "" : "That is all in this range.";
  return <p className="px-3 py-2 text-center text-2xs text-soft">{words}</p>;
}

const FIRST = `curl -H "Authorization: Bearer $KEY" ${location.origin}/api/v1/logs \\
  --data-binary '{"message": "hello", "level": "info", "service": "web"}'`;

function Nothing({ pending, failure, query, live, onRetry, onClear, onLonger }: { pending: boolean; failure: unknown; query: string; live: boolean; onRetry: () => void; onClear: () => void; onLonger: () => void }): ReactNode {
  if (failure instanceof ApiError && failure.field === "query") return <Empty title="The search cannot be understood">The search box says where.</Empty>;
  if (failure) {
    return (
      <div className="p-3">
        <Failure error={failure} onRetry={onRetry} />
      </div>
    );
  }
  if (pending) return <Waiting lines={9} />;
  if (live) return <Empty title="Nothing has arrived yet">What matches appears here within a second.</Empty>;
  return (
    <Empty title={query ? "Nothing matches in this range" : "No events in this range"}>
      <div className="flex flex-wrap justify-center gap-2 py-1">
        <Button onClick={onLonger}>Look at the last 7 days</Button>
        {query && <Button onClick={onClear}>Clear the search</Button>}
      </div>
      {!query && (
        <>
          <p className="pt-2">No service sends yet? A first event:</p>
          <Snippet text={FIRST} label="with a key of the role ingest in KEY" />
          <Snippet text={"from monitoring.startup import start_monitoring_with_config\n\nstart_monitoring_with_config(service=\"web\")"} label="or in a Python service" />
        </>
      )}
    </Empty>
  );
}

function OneEvent({ id, onClose, onTerm, onContext }: { id: string; onClose: () => void; onTerm: (one: string) => void; onContext: (id: string) => void }): ReactNode {
  const { zone } = useRange();
  const { data, error, isPending } = useEvent(id);
  return (
    <Dialog wide title="Event" onClose={onClose}>
      {isPending && <Waiting />}
      {error && <Failure error={error} />}
      {data && <EventDetail event={data} zone={zone} onTerm={onTerm} onContext={onContext} />}
    </Dialog>
  );
}
