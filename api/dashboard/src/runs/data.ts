/** Fine-tuning jobs and evaluations: told by log events (docs/llm.md), so that they outlive the metrics' retention. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { get } from "../lib/client";
import { term } from "../lib/query";
import { isRelative, type Range } from "../lib/time";
import { useRefreshInterval } from "../lib/preferences";
import type { Json, LogEvent, LogPage } from "../lib/types";

export type Numbers = Record<string, number>;

export interface Job {
  runId: string;
  model: string;
  baseModel: string;
  dataset: string;
  started: string;
  ended: string | null;
  outcome: string;
  step: number;
  totalSteps: number | null;
  durationSeconds: number | null;
  tokens: number | null;
  metrics: Numbers;
  nonfinite: boolean;
  error: string;
}

export interface Evaluation {
  id: string;
  runId: string;
  suite: string;
  model: string;
  dataset: string;
  ended: string;
  outcome: string;
  scores: Numbers;
  missed: string;
}

function text(value: Json | undefined): string {
  return typeof value === "string" ? value : "";
}

/** A number, or one of the texts that stand for those that JSON has not. */
export function number(value: Json | undefined): number | null {
  if (typeof value === "number") return value;
  const special: Record<string, number> = { NaN, Infinity, "-Infinity": -Infinity };
  return typeof value === "string" && value in special ? special[value]! : null;
}

export function numbers(value: Json | undefined): Numbers {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return {};
  return Object.fromEntries(Object.entries(value).flatMap(([name, one]) => (number(one) === null ? [] : [[name, number(one)!]])));
}

/** Jobs out of their events, in any order; the newest job first. */
export function jobsOf(events: readonly LogEvent[]): Job[] {
  const jobs = new Map<string, Job>();
  const inOrder = [...events].sort((a, b) => a.timestamp.localeCompare(b.timestamp));
  for (const { attributes: at, timestamp } of inOrder) {
    const runId = text(at.run_id);
    const kind = text(at["event.name"]);
    if (!runId || !kind.startsWith("llm.fine_tuning.")) continue;
    const job = jobs.get(runId) ?? { runId, model: "", baseModel: "", dataset: "", started: timestamp, ended: null, outcome: "running", step: 0, totalSteps: null, durationSeconds: null, tokens: null, metrics: {}, nonfinite: false, error: "" };
    job.model = text(at.model) || job.model;
    job.baseModel = text(at.base_model) || job.baseModel;
    job.dataset = text(at.dataset) || job.dataset;
    job.totalSteps = number(at.total_steps) ?? job.totalSteps;
    job.step = number(at.step) ?? job.step;
    job.metrics = { ...job.metrics, ...numbers(at.metrics) };
    if (kind.endsWith(".started")) Object.assign(job, { ended: null, outcome: "running" });
    if (kind.endsWith(".nonfinite")) job.nonfinite = true;
    if (kind.endsWith(".ended")) {
      Object.assign(job, { ended: timestamp, outcome: text(at.outcome) || "ended", error: text(at.error) });
      job.durationSeconds = number(at.duration_seconds);
      job.tokens = number(at.tokens);
    }
    jobs.set(runId, job);
  }
  return [...jobs.values()].sort((a, b) => b.started.localeCompare(a.started));
}

/** Evaluations that have ended, the newest first. */
export function evaluationsOf(events: readonly LogEvent[]): Evaluation[] {
  return events
    .filter((event) => text(event.attributes["event.name"]) === "llm.evaluation.ended")
    .map(({ id, timestamp, attributes: at }) => ({
      id,
      runId: text(at.run_id),
      suite: text(at.suite),
      model: text(at.model),
      dataset: text(at.dataset),
      ended: timestamp,
      outcome: text(at.outcome),
      scores: numbers(at.scores),
      missed: typeof at.missed === "string" ? at.missed : at.missed ? JSON.stringify(at.missed) : "",
    }))
    .sort((a, b) => b.ended.localeCompare(a.ended));
}

/** Steps of a run with their metrics, the first step first; a step that was told twice counts once. */
export function stepsOf(events: readonly LogEvent[]): { step: number; metrics: Numbers }[] {
  const steps = new Map<number, Numbers>();
  for (const { attributes: at } of events) {
    const step = number(at.step);
    if (step !== null) steps.set(step, { ...steps.get(step), ...numbers(at.metrics) });
  }
  return [...steps].map(([step, metrics]) => ({ step, metrics })).sort((a, b) => a.step - b.step);
}

function useSearch(query: string, range: Range, limit: number, on = true) {
  const interval = useRefreshInterval();
  return useQuery({
    queryKey: ["runs", query, range.start, range.end, limit],
    queryFn: async ({ signal }) => (await get<LogPage>("/api/v1/logs", { query, start: range.start, end: range.end, limit }, signal)).events,
    placeholderData: keepPreviousData,
    refetchInterval: on && isRelative(range) ? interval : false,
    enabled: on,
  });
}

const JOB_EVENTS = "logger:monitoring.llm event.name:(llm.fine_tuning.started OR llm.fine_tuning.ended OR llm.fine_tuning.nonfinite OR llm.fine_tuning.checkpoint)";

export function useJobEvents(range: Range) {
  return useSearch(JOB_EVENTS, range, 2000);
}

/** The newest steps of all runs: how far those are that still run. */
export function useLatestSteps(range: Range, on: boolean) {
  return useSearch("logger:monitoring.llm event.name:llm.fine_tuning.step", range, 300, on);
}

export function useEvaluations(range: Range) {
  return useSearch("logger:monitoring.llm event.name:llm.evaluation.ended", range, 2000);
}

export function useSteps(runId: string) {
  return useSearch(`logger:monitoring.llm event.name:(llm.fine_tuning.step OR llm.fine_tuning.ended) ${term("run_id", runId)}`, { start: "-365d", end: "now" }, 5000);
}
