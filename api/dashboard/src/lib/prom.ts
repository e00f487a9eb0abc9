/** Metrics: PromQL through the addresses that Prometheus serves. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { get, serverNow } from "./client";
import { useRefreshInterval } from "./preferences";
import { isRelative, resolveRange, stepFor, type Range } from "./time";

export type Labels = Record<string, string>;

export interface Series {
  labels: Labels;
  /** Seconds since 1970 and values, rising in time. */
  points: [number, number][];
}

interface Answer {
  status: "success" | "error";
  data: { resultType: "vector" | "matrix" | "scalar" | "string"; result: unknown };
  warnings?: string[];
  infos?: string[];
}

/** A number as Prometheus writes it. */
export function numberOf(text: string): number {
  return text === "+Inf" ? Infinity : text === "-Inf" ? -Infinity : Number(text);
}

/** The series of any answer; a scalar is one without labels. */
export function seriesOf(data: Answer["data"]): Series[] {
  if (data.resultType === "string") return [];
  if (data.resultType === "scalar") {
    const [at, text] = data.result as [number, string];
    return [{ labels: {}, points: [[at, numberOf(text)]] }];
  }
  return (data.result as { metric: Labels; value?: [number, string]; values?: [number, string][] }[]).map((one) => ({
    labels: one.metric,
    points: (one.values ?? (one.value ? [one.value] : [])).map(([at, text]): [number, number] => [at, numberOf(text)]),
  }));
}

const POINTS = 240; // of a chart: a point every two to four pixels

export interface Chart {
  series: Series[];
  start: number;
  end: number;
  step: number;
  warnings: string[];
}

/** Ask for a range: the series, and where it begins and ends in seconds since 1970. Raises ApiError. */
export async function askRange(expr: string, range: Range, signal?: AbortSignal): Promise<Chart> {
  const moments = resolveRange(range, serverNow());
  const step = stepFor(moments, POINTS);
  const start = Math.floor(moments.start / 1000 / step) * step; // on the grid, so that a refresh moves no point
  const end = Math.ceil(moments.end / 1000 / step) * step;
  const answer = await get<Answer>("/prometheus/api/v1/query_range", { query: withStep(expr, step), start, end, step }, signal);
  return { series: seriesOf(answer.data), start, end, step, warnings: answer.warnings ?? [] };
}

/** `$window` in an expression: what a rate looks back over, four samples at least and never less than a step. */
export function withStep(expr: string, step: number): string {
  return expr.replaceAll("$window", `${Math.max(120, step)}s`);
}

/** An expression over the range of the page. */
export function useChart(expr: string, range: Range) {
  const interval = useRefreshInterval();
  return useQuery({
    queryKey: ["prom", "range", expr, range.start, range.end],
    queryFn: ({ signal }) => askRange(expr, range, signal),
    placeholderData: keepPreviousData,
    enabled: expr.trim() !== "",
    refetchInterval: isRelative(range) ? interval : false,
  });
}

/** An expression now. */
export function useInstant(expr: string) {
  return useQuery({
    queryKey: ["prom", "instant", expr],
    queryFn: async ({ signal }) => seriesOf((await get<Answer>("/prometheus/api/v1/query", { query: withStep(expr, 300) }, signal)).data),
    placeholderData: keepPreviousData,
    enabled: expr.trim() !== "",
    refetchInterval: useRefreshInterval(),
  });
}

export interface Metadata {
  type: string;
  help: string;
  unit: string;
}

/** Every metric with what it is. */
export function useMetadata() {
  return useQuery({
    queryKey: ["prom", "metadata"],
    queryFn: async ({ signal }) => (await get<{ data: Record<string, Metadata[]> }>("/prometheus/api/v1/metadata", {}, signal)).data,
    staleTime: 60_000,
  });
}

/** The names that PromQL knows. */
export function useNames() {
  return useQuery({
    queryKey: ["prom", "names"],
    queryFn: async ({ signal }) => (await get<{ data: string[] }>("/prometheus/api/v1/label/__name__/values", {}, signal)).data,
    staleTime: 60_000,
  });
}

/** How a series is called in a legend: a template like `{{mode}}`, else its labels. */
export function legendOf(labels: Labels, template = ""): string {
  if (template) return template.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name: string) => labels[name] ?? "") || "value";
  const { __name__: name = "", ...rest } = labels;
  const pairs = Object.entries(rest).map(([key, value]) => `${key}="${value}"`);
  return `${name}${pairs.length ? `{${pairs.join(", ")}}` : ""}` || "value";
}

/** Series on one grid of times, as a chart draws them; null where a series has no point. */
export function aligned(chart: Chart): [number[], ...(number | null)[][]] {
  const times: number[] = [];
  for (let at = chart.start; at <= chart.end; at += chart.step) times.push(at);
  const columns = chart.series.map((series) => {
    const column: (number | null)[] = times.map(() => null);
    for (const [at, value] of series.points) {
      const index = Math.round((at - chart.start) / chart.step);
      if (index >= 0 && index < column.length && Number.isFinite(value)) column[index] = value;
    }
    return column;
  });
  return [times, ...columns];
}
