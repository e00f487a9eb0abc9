import { useEffect, useMemo, useRef, useState, type ReactNode } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { inUnit, type Unit } from "../lib/format";
import { clock, formatMinute, type Zone } from "../lib/time";

/** Ten colours that can be told apart on both grounds. */
const COLOURS = ["#4a8ee8", "#e58439", "#3fa76a", "#b673dc", "#dd5f5a", "#2fa8ad", "#c4982c", "#e06a9f", "#7d87f2", "#84994f"];

export interface Line {
  label: string;
  /** As many as there are x values; null: a gap. */
  values: (number | null)[];
}

interface Props {
  x: number[];
  lines: readonly Line[];
  unit: Unit;
  /** What x is: seconds since 1970, or a plain number such as a step. */
  time?: boolean;
  zone?: Zone;
  height?: number;
  /** Charts with the same name share their cursor. */
  sync?: string;
  /** A line across, such as a rule's threshold. */
  threshold?: number | null;
  onZoom?: (start: number, end: number) => void;
  /** Draw through gaps, and each point: few values at times of their own. */
  joined?: boolean;
  label: string;
}

/** Steps of an axis of bytes: powers of two, so that its ticks are whole KiB and MiB. */
const BINARY = Array.from({ length: 50 }, (_, power) => 2 ** power);

function ink(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Lines over time. Drag to zoom; a click in the legend shows one line alone. */
export function LineChart({ x, lines, unit, time = true, zone = "local", height = 180, sync, threshold = null, onZoom, joined = false, label }: Props): ReactNode {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [alone, setAlone] = useState<string | null>(null);
  const [at, setAt] = useState<number | null>(null);
  const theme = useTheme();
  const zoom = useRef(onZoom);
  zoom.current = onZoom;
  const names = lines.map((line) => line.label).join("\n");
  const data = useMemo(() => {
    const across = threshold === null ? [] : [x.map(() => threshold)];
    return [x, ...lines.map((line) => line.values), ...across] as uPlot.AlignedData;
  }, [x, lines, threshold]);
  const latest = useRef(data);
  latest.current = data;

  useEffect(() => {
    const element = place.current!;
    const axis: uPlot.Axis = { stroke: ink("--soft"), grid: { stroke: ink("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    const made = new uPlot(
      {
        width: Math.max(80, element.clientWidth),
        height,
        legend: { show: false },
        tzDate: zone === "utc" ? (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC") : undefined,
        cursor: { y: false, sync: sync ? { key: sync } : undefined, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
        padding: [10, 12, 0, 0],
        scales: { x: { time, range: (_, low, high) => (low === high ? [low - 60, high + 60] : [low, high]) }, y: { range: (_, low, high) => (joined ? around(low, high) : span(low, high)) } },
        axes: [
          time ? { ...axis, size: 26, space: 70, values: (_, ticks) => ticks.map((tick) => tickText(tick, zone)) } : { ...axis, size: 26 },
          { ...axis, size: gutter, space: 26, gap: 6, incrs: unit.startsWith("bytes") ? BINARY : undefined, values: (_, ticks) => ticks.map((tick) => inUnit(tick, unit)) },
        ],
        series: [
          {},
          ...names.split("\n").slice(0, lines.length).map((name, index) => ({ label: name, stroke: COLOURS[index % COLOURS.length], fill: lines.length === 1 && !joined ? `${COLOURS[0]}1f` : undefined, width: 1.5, spanGaps: joined, points: joined ? { show: true, size: 5 } : { size: 4 } })),
          ...(threshold === null ? [] : [{ label: "threshold", stroke: ink("--bad"), width: 1, dash: [6, 4], points: { show: false } }]),
        ],
        hooks: {
          setCursor: [(self) => setAt(self.cursor.idx ?? null)],
          setSelect: [
            (self) => {
              if (self.select.width < 6 || !zoom.current) return;
              zoom.current(self.posToVal(self.select.left, "x"), self.posToVal(self.select.left + self.select.width, "x"));
              self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            },
          ],
        },
      },
      latest.current,
      element,
    );
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: Math.max(80, element.clientWidth), height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
    // eslint-disable-next-line react-hooks/exhaustive-deps -- new data alone does not need a new chart
  }, [names, unit, time, zone, height, sync, theme, threshold === null]);

  useEffect(() => plot.current?.setData(data), [data]);
  useEffect(() => {
    lines.forEach((line, index) => plot.current?.setSeries(index + 1, { show: alone === null || alone === line.label }));
    // eslint-disable-next-line react-hooks/exhaustive-deps -- lines come anew with each refresh; their names count
  }, [alone, names, theme]);

  const shownAt = at ?? x.length - 1;
  const moment = at === null || x[at] === undefined ? null : time ? formatMinute(x[at] * 1000, zone, Date.now()) : String(x[at]);
  return (
    <figure className="min-w-0" aria-label={label}>
      <div ref={place} className="w-full overflow-hidden" style={{ height }} />
      <figcaption className="mt-1 flex max-h-24 flex-wrap gap-x-3 overflow-auto text-2xs" tabIndex={0} aria-label={`Values of ${label}`}>
        {moment && <span className="leading-6 font-semibold tabular-nums">{moment}</span>}
        {lines.map((line, index) => {
          const value = line.values[shownAt] ?? (at === null ? line.values.findLast((one) => one !== null) : null);
          return (
            <button key={line.label} type="button" aria-pressed={alone === line.label} title="Show alone" onClick={() => setAlone(alone === line.label ? null : line.label)} className={`flex min-h-6 max-w-full items-center gap-1 hover:text-ink ${alone && alone !== line.label ? "text-soft line-through" : ""}`}>
              <span className="size-2 shrink-0 rounded-full" style={{ background: COLOURS[index % COLOURS.length] }} />
              <span className="truncate text-soft">{line.label}</span>
              <span className="font-semibold whitespace-nowrap tabular-nums">{value === null || value === undefined ? "–" : inUnit(value, unit)}</span>
            </button>
          );
        })}
      </figcaption>
    </figure>
  );
}

function tickText(seconds: number, zone: Zone): string {
  const text = clock(seconds * 1000, zone);
  return text === "00:00:00" ? formatMinute(seconds * 1000, zone, 0).replace(/ \d{4} .*$/, "") : text.endsWith(":00") ? text.slice(0, 5) : text;
}

/** As wide as its widest number: charts of small numbers need no room for large ones. */
function gutter(_: uPlot, values: string[] | null): number {
  const longest = Math.max(3, ...(values ?? []).map((value) => value?.length ?? 0));
  return Math.ceil(longest * 6.4) + 10; // 11 pixels of system-ui are at most 6.4 wide a character, on average
}

/** The y axis begins at 0 where nothing is below, and is never empty. */
function span(low: number | null, high: number | null): [number, number] {
  if (low === null || high === null || !Number.isFinite(low) || !Number.isFinite(high)) return [0, 1];
  const bottom = Math.min(0, low);
  const top = Math.max(0, high);
  return top === bottom ? [bottom, bottom + 1] : [bottom === 0 ? 0 : bottom * 1.08, top * 1.08];
}

/** Scores lie close together, far from 0: their axis is about them. */
function around(low: number | null, high: number | null): [number, number] {
  if (low === null || high === null || low === high) return span(low, high);
  const air = (high - low) * 0.15;
  return [low - air, high + air];
}

function useTheme(): string {
  const [theme, setTheme] = useState(document.documentElement.className);
  useEffect(() => {
    const observer = new MutationObserver(() => setTheme(document.documentElement.className));
    observer.observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
    return () => observer.disconnect();
  }, []);
  return theme;
}
