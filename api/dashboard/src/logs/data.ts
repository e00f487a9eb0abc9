/** What the Logs page asks of the server. */

import { keepPreviousData, useInfiniteQuery, useQuery, type InfiniteData } from "@tanstack/react-query";
import { get } from "../lib/client";
import { useRefreshInterval } from "../lib/preferences";
import { isRelative, type Range } from "../lib/time";
import type { Context, Facets, Histogram, LogEvent, LogPage, Patterns, SavedSearch } from "../lib/types";

export interface Asked {
  query: string;
  range: Range;
}

const PAGE = 200;
export const FACET_FIELDS = ["level", "service", "host", "environment", "logger"] as const;

function params({ query, range }: Asked): Record<string, string> {
  return { query, start: range.start, end: range.end };
}

/** Refresh by itself, where the range moves with the clock. */
export function useInterval(range: Range, on = true): number | false {
  const interval = useRefreshInterval();
  return on && isRelative(range) ? interval : false;
}

/** The events, a page at a time. `reading`: more is loaded or something is open, so nothing may move. */
export function useEvents(asked: Asked, enabled: boolean, reading: boolean) {
  const interval = useInterval(asked.range, !reading);
  return useInfiniteQuery({
    queryKey: ["logs", "events", asked.query, asked.range.start, asked.range.end],
    queryFn: ({ pageParam, signal }) => get<LogPage>("/api/v1/logs", { ...params(asked), limit: PAGE, cursor: pageParam }, signal),
    initialPageParam: "",
    getNextPageParam: (last) => last.next_cursor ?? undefined,
    placeholderData: keepPreviousData,
    enabled,
    // Only the first page is asked for again: refreshing a hundred pages would move everything under the reader.
    refetchInterval: (query) => ((query.state.data?.pages.length ?? 1) > 1 ? false : interval),
  });
}

export function eventsOf(data: InfiniteData<LogPage> | undefined): LogEvent[] {
  return data?.pages.flatMap((page) => page.events) ?? [];
}

export function useHistogram(asked: Asked, buckets: number) {
  return useQuery({
    queryKey: ["logs", "histogram", asked.query, asked.range.start, asked.range.end, buckets],
    queryFn: ({ signal }) => get<Histogram>("/api/v1/logs/histogram", { ...params(asked), buckets }, signal),
    placeholderData: keepPreviousData,
    refetchInterval: useInterval(asked.range),
  });
}

export function useFacets(asked: Asked, fields: readonly string[], enabled: boolean, limit = 10) {
  return useQuery({
    queryKey: ["logs", "facets", asked.query, asked.range.start, asked.range.end, fields, limit],
    queryFn: ({ signal }) => get<Facets>("/api/v1/logs/facets", { ...params(asked), fields: fields.join(","), limit }, signal),
    placeholderData: keepPreviousData,
    enabled,
    refetchInterval: useInterval(asked.range),
  });
}

export function usePatterns(asked: Asked) {
  return useQuery({
    queryKey: ["logs", "patterns", asked.query, asked.range.start, asked.range.end],
    queryFn: ({ signal }) => get<Patterns>("/api/v1/logs/patterns", { ...params(asked), limit: 100 }, signal),
    placeholderData: keepPreviousData,
    refetchInterval: useInterval(asked.range),
  });
}

export function useContext(id: string, neighbours: number) {
  return useQuery({
    queryKey: ["logs", "context", id, neighbours],
    queryFn: ({ signal }) => get<Context>(`/api/v1/logs/${encodeURIComponent(id)}/context`, { before: neighbours, after: neighbours }, signal),
    placeholderData: keepPreviousData,
  });
}

export function useEvent(id: string | null) {
  return useQuery({
    queryKey: ["logs", "event", id],
    queryFn: ({ signal }) => get<LogEvent>(`/api/v1/logs/${encodeURIComponent(id ?? "")}`, {}, signal),
    enabled: id !== null,
    staleTime: Infinity,
  });
}

export function useSaved() {
  return useQuery({ queryKey: ["searches"], queryFn: ({ signal }) => get<{ searches: SavedSearch[] }>("/api/v1/searches", {}, signal) });
}
