/** Time ranges as they stand in the address (`start=-1h&end=now`), and times as people read them. */

export type Zone = "local" | "utc";

/** Both ends as text: relative (`-15m`, `now`, `now-1h`), RFC 3339, or milliseconds since 1970. */
export interface Range {
  start: string;
  end: string;
}

export const DEFAULT_RANGE: Range = { start: "-1h", end: "now" };

export const PRESETS: readonly { start: string; name: string }[] = [
  { start: "-5m", name: "Last 5 minutes" },
  { start: "-15m", name: "Last 15 minutes" },
  { start: "-30m", name: "Last 30 minutes" },
  { start: "-1h", name: "Last hour" },
  { start: "-3h", name: "Last 3 hours" },
  { start: "-6h", name: "Last 6 hours" },
  { start: "-12h", name: "Last 12 hours" },
  { start: "-24h", name: "Last 24 hours" },
  { start: "-2d", name: "Last 2 days" },
  { start: "-7d", name: "Last 7 days" },
  { start: "-30d", name: "Last 30 days" },
];

const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
const RELATIVE = /^(?:now)?-(\d+(?:\.\d+)?)(ms|s|m|h|d|w)$/;

/** Milliseconds since 1970, or null where the text is no time. */
export function resolve(text: string, now: number): number | null {
  const trimmed = text.trim();
  if (trimmed === "now") return now;
  const relative = RELATIVE.exec(trimmed);
  if (relative) return now - Number(relative[1]) * (UNITS[relative[2] ?? ""] ?? 0);
  if (/^\d{12,14}$/.test(trimmed)) return Number(trimmed);
  if (/^\d{9,11}(\.\d+)?$/.test(trimmed)) return Number(trimmed) * 1000;
  if (!/^\d{4}-\d{2}-\d{2}/.test(trimmed)) return null;
  const parsed = Date.parse(trimmed);
  return Number.isNaN(parsed) ? null : parsed;
}

/** Whether the range moves with the clock. */
export function isRelative(range: Range): boolean {
  return RELATIVE.test(range.start) || range.end === "now" || RELATIVE.test(range.end);
}

/** Both ends in milliseconds; the default range where one of them is no time. */
export function resolveRange(range: Range, now: number): { start: number; end: number } {
  const start = resolve(range.start, now);
  const end = resolve(range.end, now);
  if (start === null || end === null || start >= end) return { start: now - 3_600_000, end: now };
  return { start, end };
}

/** RFC 3339 in UTC, for the address and the API. */
export function iso(ms: number): string {
  return new Date(ms).toISOString();
}

/** A range of two moments. */
export function between(start: number, end: number): Range {
  return { start: iso(start), end: iso(end) };
}

/** The range in words. */
export function describeRange(range: Range, zone: Zone, now: number): string {
  if (range.end === "now") {
    const preset = PRESETS.find((one) => one.start === range.start || `now${one.start}` === range.start);
    if (preset) return preset.name;
    const relative = RELATIVE.exec(range.start);
    if (relative) return `Last ${relative[1]} ${relative[2]}`;
  }
  const { start, end } = resolveRange(range, now);
  const sameDay = dayOf(start, zone) === dayOf(end, zone);
  const from = formatMinute(start, zone, now);
  return `${from} – ${sameDay ? clock(end, zone, 0).slice(0, 5) : range.end === "now" ? "now" : formatMinute(end, zone, now)}`;
}

function part(value: number, width = 2): string {
  return String(value).padStart(width, "0");
}

function fields(ms: number, zone: Zone): { year: number; month: number; day: number; h: number; m: number; s: number } {
  const at = new Date(ms);
  return zone === "utc"
    ? { year: at.getUTCFullYear(), month: at.getUTCMonth() + 1, day: at.getUTCDate(), h: at.getUTCHours(), m: at.getUTCMinutes(), s: at.getUTCSeconds() }
    : { year: at.getFullYear(), month: at.getMonth() + 1, day: at.getDate(), h: at.getHours(), m: at.getMinutes(), s: at.getSeconds() };
}

/** `2026-05-01`. */
export function dayOf(ms: number, zone: Zone): string {
  const { year, month, day } = fields(ms, zone);
  return `${part(year, 4)}-${part(month)}-${part(day)}`;
}

/** `09:12:01`, with up to three digits of the second's fraction. */
export function clock(ms: number, zone: Zone, digits: 0 | 3 = 0): string {
  const { h, m, s } = fields(ms, zone);
  const fraction = digits ? `.${part(Math.floor(((ms % 1000) + 1000) % 1000), 3)}` : "";
  return `${part(h)}:${part(m)}:${part(s)}${fraction}`;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function shortDay(ms: number, zone: Zone, now: number): string {
  const { year, month, day } = fields(ms, zone);
  const old = year !== fields(now, zone).year;
  return `${day} ${MONTHS[month - 1]}${old ? ` ${year}` : ""}`;
}

/** `12:03`, with the day where it is not today's. */
export function formatMinute(ms: number, zone: Zone, now: number): string {
  const time = clock(ms, zone).slice(0, 5);
  return dayOf(ms, zone) === dayOf(now, zone) ? time : `${shortDay(ms, zone, now)} ${time}`;
}

/** `2026-05-01 09:12:01.118` and the zone: for titles, details and copying. */
export function formatFull(text: string | number, zone: Zone): string {
  const ms = typeof text === "number" ? text : Date.parse(text);
  if (Number.isNaN(ms)) return String(text);
  return `${dayOf(ms, zone)} ${clock(ms, zone, 3)} ${zone === "utc" ? "UTC" : offset(ms)}`;
}

function offset(ms: number): string {
  const minutes = -new Date(ms).getTimezoneOffset();
  const size = Math.abs(minutes);
  return `${minutes < 0 ? "-" : "+"}${part(Math.floor(size / 60))}:${part(size % 60)}`;
}

/** `3 min ago`, `in 2 h`. */
export function ago(text: string | number, now: number): string {
  const ms = typeof text === "number" ? text : Date.parse(text);
  if (Number.isNaN(ms)) return String(text);
  const seconds = Math.round((now - ms) / 1000);
  const size = Math.abs(seconds);
  if (size < 5) return "now";
  const words =
    size < 90 ? `${size} s` : size < 5400 ? `${Math.round(size / 60)} min` : size < 129_600 ? `${Math.round(size / 3600)} h` : `${Math.round(size / 86_400)} d`;
  return seconds > 0 ? `${words} ago` : `in ${words}`;
}

/** Seconds of a duration such as `5m` or `1h30m`; what is none has 0. */
export function secondsOf(text: string): number {
  const units: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };
  return [...text.matchAll(/(\d+)([smhdw])/g)].reduce((sum, [, number, unit]) => sum + Number(number) * units[unit!]!, 0);
}

/** What a field of type `datetime-local` holds for a moment. */
export function toInput(ms: number, zone: Zone): string {
  return `${dayOf(ms, zone)}T${clock(ms, zone)}`;
}

/** The moment that such a field holds, or null. */
export function fromInput(text: string, zone: Zone): number | null {
  const parsed = Date.parse(zone === "utc" ? `${text}Z` : text);
  return Number.isNaN(parsed) ? null : parsed;
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400];

/** Seconds between two points of a chart: a round number that gives at most so many points. */
export function stepFor(range: { start: number; end: number }, points: number): number {
  const seconds = (range.end - range.start) / 1000 / points;
  return STEPS.find((step) => step >= seconds) ?? Math.ceil(seconds / 86_400) * 86_400;
}
