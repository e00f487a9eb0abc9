/** What the API answers, as docs/api.md describes it. */

export type Level = "TRACE" | "DEBUG" | "INFO" | "WARNING" | "ERROR" | "FATAL";
export const LEVELS: readonly Level[] = ["TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "FATAL"];

export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };

export interface LogEvent {
  id: string;
  timestamp: string;
  level: Level;
  service: string;
  environment: string;
  release: string;
  logger: string;
  host: string;
  message: string;
  trace_id: string;
  span_id: string;
  request_id: string;
  attributes: Record<string, Json>;
  exception: Json;
}

export interface Answered {
  complete_through: string | null;
  took_ms: number;
  partial?: { reason: string };
}

export interface LogPage extends Answered {
  events: LogEvent[];
  next_cursor: string | null;
}

export interface Histogram extends Answered {
  interval_seconds: number;
  buckets: { start: string; total: number; levels: Partial<Record<Level, number>> }[];
}

export interface Facet {
  field: string;
  values: { value: string; count: number }[];
  distinct: number;
  missing: number;
  events: number;
  sampled: boolean;
}

export interface Facets extends Answered {
  facets: Facet[];
}

export interface Patterns extends Answered {
  patterns: {
    template: string;
    count: number;
    first_seen: string;
    last_seen: string;
    levels: Partial<Record<Level, number>>;
    services: Record<string, number>;
    example: { id: string };
  }[];
  distinct: number;
  events: number;
  sampled: boolean;
}

export interface Context extends Answered {
  before: LogEvent[];
  event: LogEvent;
  after: LogEvent[];
}

export interface SavedSearch {
  name: string;
  query: string;
  saved: string;
}

export type Role = "ingest" | "viewer" | "operator" | "admin";

export interface Session {
  name: string;
  role: Role;
  csrf: string;
  expires: string | null;
}
