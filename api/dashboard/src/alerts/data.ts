/** Alerts, rules, silences and channels as the API has them. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { get } from "../lib/client";
import { useRefreshInterval } from "../lib/preferences";

export type AlertState = "pending" | "active" | "acknowledged" | "resolved";
export type Severity = "info" | "warning" | "critical";

export interface Alert {
  id: string;
  rule: string;
  kind: string;
  state: AlertState;
  severity: Severity;
  labels: Record<string, string>;
  value: number | null;
  operator: string | null;
  threshold: number | null;
  summary: string;
  description: string;
  runbook: string;
  started_at: string;
  active_at: string | null;
  updated_at: string;
  resolved_at: string | null;
  acknowledged_at: string | null;
  acknowledged_by: string | null;
  flapping?: boolean;
  held?: string | null;
  channels: string[];
  stale?: boolean;
  links?: Record<string, string>;
}

export interface Happened {
  number: number;
  at: string;
  kind: string;
  from: string | null;
  to: string;
  actor: string;
  note: string;
  value: number | null;
}

export interface Rule {
  name: string;
  kind: "metric" | "logs" | "heartbeat" | "delivery" | "status";
  expr?: string;
  query?: string;
  condition?: string;
  window?: string;
  group_by?: string[];
  operator?: string;
  threshold?: number | null;
  recovery?: number | null;
  for?: string;
  interval?: string;
  cooldown?: string;
  lookback?: string;
  established?: string;
  no_data?: string;
  severity: Severity;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  channels?: string[];
  escalation?: { after: string; channels: string[] }[];
  inhibited_by?: { rule: string; equal: string[] }[];
  enabled: boolean;
  source?: string;
  read_only?: boolean;
  file?: string;
  status?: { state: string; note: string; evaluated_at: string | null; took_ms: number | null; groups: number };
}

export interface Silence {
  id: string;
  matchers: string[];
  starts_at: string;
  ends_at: string;
  state: "active" | "pending" | "expired";
  author: string;
  reason: string;
}

/** A time that comes again in which alerts that match are not told. */
export interface Window {
  name: string;
  matchers: string[];
  days: string[];
  start: string;
  duration: string;
  time_zone: string;
  from: string | null;
  until: string | null;
  reason: string;
  author: string;
  active: boolean;
  enabled: boolean;
}

export interface Channel {
  name: string;
  kind: string;
  config: Record<string, string | number | boolean | string[]>;
  default: boolean;
  enabled: boolean;
  read_only: boolean;
  problem: string | null;
}

export interface Backtest {
  start: string;
  end: string;
  step_seconds: number;
  evaluations: number;
  fired: number;
  firings: { labels: Record<string, string>; started_at: string; active_at: string; resolved_at: string | null; peak: number | null }[];
  notes: string[];
}

export function useAlerts(state: string) {
  return useQuery({
    queryKey: ["alerts", "list", state],
    queryFn: ({ signal }) => get<{ alerts: Alert[]; counts?: Record<AlertState, number> }>("/api/v1/alerts", { state, limit: 500 }, signal),
    placeholderData: keepPreviousData,
    refetchInterval: useRefreshInterval(),
  });
}

export function useAlert(id: string) {
  return useQuery({ queryKey: ["alerts", "one", id], queryFn: ({ signal }) => get<Alert>(`/api/v1/alerts/${encodeURIComponent(id)}`, {}, signal), refetchInterval: useRefreshInterval() });
}

export function useHistory(id: string) {
  return useQuery({ queryKey: ["alerts", "history", id], queryFn: ({ signal }) => get<{ history: Happened[] }>(`/api/v1/alerts/${encodeURIComponent(id)}/history`, {}, signal), refetchInterval: useRefreshInterval() });
}

export function useRules() {
  return useQuery({ queryKey: ["alerts", "rules"], queryFn: ({ signal }) => get<{ rules: Rule[]; files?: { path: string; errors: { [name: string]: unknown }[] }[] }>("/api/v1/rules", {}, signal), refetchInterval: useRefreshInterval() });
}

export function useSilences() {
  return useQuery({ queryKey: ["alerts", "silences"], queryFn: ({ signal }) => get<{ silences: Silence[] }>("/api/v1/silences", {}, signal), refetchInterval: useRefreshInterval() });
}

export function useWindows() {
  return useQuery({ queryKey: ["alerts", "windows"], queryFn: ({ signal }) => get<{ maintenance_windows: Window[] }>("/api/v1/maintenance-windows", {}, signal), refetchInterval: useRefreshInterval() });
}

export function useChannels() {
  return useQuery({ queryKey: ["alerts", "channels"], queryFn: ({ signal }) => get<{ channels: Channel[] }>("/api/v1/channels", {}, signal) });
}

/** What stands in the lines of a text, without empty ones. */
export function lines(text: string): string[] {
  return text.split("\n").map((one) => one.trim()).filter(Boolean);
}

/** Matchers that fit exactly this alert: its rule and its labels. */
export function matchersOf(alert: Alert): string[] {
  return [`rule=${alert.rule}`, ...Object.entries(alert.labels).map(([name, value]) => `${name}=${value}`)];
}

const SHOWN_ONLY = ["source", "read_only", "file", "line", "changed_at", "changed_by", "status"];
const OF_OTHERS: Record<Rule["kind"], readonly string[]> = {
  metric: ["query", "condition", "window", "group_by", "established"],
  logs: ["expr", "established"],
  heartbeat: ["expr", "condition", "operator", "threshold", "recovery"],
  delivery: ["expr", "query", "condition", "window", "group_by"],
  status: ["query", "condition", "window", "group_by", "established"],
};

/** A rule as the API takes it: whatever it had, without what is only shown, what other kinds have, and what is empty. */
export function ruleBody(rule: Rule): Record<string, unknown> {
  const counted = rule.kind !== "logs" || (rule.condition ?? "threshold") === "threshold";
  const left = [...SHOWN_ONLY, ...OF_OTHERS[rule.kind], ...(counted ? [] : ["operator", "threshold", "recovery"])];
  const body: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(rule)) {
    if (left.includes(name) || value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0)) continue;
    if (typeof value === "object" && !Array.isArray(value)) {
      const kept = Object.fromEntries(Object.entries(value as Record<string, unknown>).filter(([, text]) => text !== ""));
      if (Object.keys(kept).length) body[name] = kept;
    } else if (name === "inhibited_by") body[name] = rule.inhibited_by!.map((one) => ({ ...one, equal: one.equal.filter(Boolean) }));
    else body[name] = value;
  }
  return body;
}
