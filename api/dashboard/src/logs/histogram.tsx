import { useMemo, useRef, useState, type PointerEvent, type ReactNode } from "react";
import { count, duration } from "../lib/format";
import { clock, formatMinute, iso, type Range, type Zone } from "../lib/time";
import { LEVELS, type Histogram as Answer } from "../lib/types";
import { levelBar } from "../ui/level";

interface Props {
  answer: Answer;
  zone: Zone;
  now: number;
  onZoom: (range: Range) => void;
  height?: string;
}

/** Events by time and level. Drag across bars, or choose one, to zoom in. */
export function Histogram({ answer, zone, now, onZoom, height = "h-20" }: Props): ReactNode {
  const area = useRef<HTMLDivElement>(null);
  const [drag, setDrag] = useState<{ from: number; to: number } | null>(null);
  const [over, setOver] = useState<number | null>(null);
  const { buckets, interval_seconds: seconds } = answer;
  const top = useMemo(() => Math.max(1, ...buckets.map((bucket) => bucket.total)), [buckets]);
  if (buckets.length === 0) return <p className="py-6 text-center text-soft">No events in this range.</p>;

  const at = (event: PointerEvent) => {
    const box = area.current!.getBoundingClientRect();
    return Math.min(buckets.length - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * buckets.length)));
  };
  const zoom = (from: number, to: number) => {
    const start = Date.parse(buckets[Math.min(from, to)]!.start);
    const end = Date.parse(buckets[Math.max(from, to)]!.start) + seconds * 1000;
    onZoom({ start: iso(start), end: iso(end) });
  };
  const finish = (event: PointerEvent) => {
    if (drag) zoom(drag.from, at(event));
    setDrag(null);
  };
  const shown = over === null ? null : buckets[over];
  const selection = drag && { left: Math.min(drag.from, drag.to), right: Math.max(drag.from, drag.to) + 1 };
  const share = 100 / buckets.length;
  return (
    <div className="select-none">
      <div
        ref={area}
        role="img"
        aria-label={`${count(buckets.reduce((sum, bucket) => sum + bucket.total, 0))} events in ${buckets.length} bars of ${duration(seconds)}`}
        className={`relative w-full cursor-crosshair touch-pan-y ${height}`}
        onPointerDown={(event) => (event.currentTarget.setPointerCapture(event.pointerId), setDrag({ from: at(event), to: at(event) }))}
        onPointerMove={(event) => (setOver(at(event)), drag && setDrag({ ...drag, to: at(event) }))}
        onPointerUp={finish}
        onPointerCancel={() => setDrag(null)}
        onPointerLeave={() => setOver(null)}
      >
        <svg viewBox={`0 0 ${buckets.length} 100`} preserveAspectRatio="none" className="h-full w-full" aria-hidden="true">
          {buckets.map((bucket, index) => {
            let y = 100;
            return LEVELS.map((level) => {
              const size = ((bucket.levels[level] ?? 0) / top) * 100;
              if (size === 0) return null;
              const shownSize = Math.max(size, 1.5); // a single error among thousands must be seen
              y -= shownSize;
              return <rect key={`${index} ${level}`} x={index + 0.08} y={Math.max(0, y)} width={0.84} height={shownSize} className={levelBar(level)} opacity={over === null || over === index ? 1 : 0.75} />;
            });
          })}
        </svg>
        {selection && <div className="pointer-events-none absolute inset-y-0 border-x border-accent bg-accent/15" style={{ left: `${selection.left * share}%`, width: `${(selection.right - selection.left) * share}%` }} />}
        {shown && over !== null && !drag && (
          <div className="pointer-events-none absolute top-0 z-10 rounded-md border border-line bg-panel px-2 py-1 text-2xs shadow-lg" style={over < buckets.length / 2 ? { left: `${(over + 1) * share}%` } : { right: `${(buckets.length - over) * share}%` }}>
            <p className="font-semibold whitespace-nowrap">
              {formatMinute(Date.parse(shown.start), zone, now)}
              {seconds < 60 && `:${clock(Date.parse(shown.start), zone).slice(6)}`} + {duration(seconds)}
            </p>
            {[...LEVELS].reverse().map((level) =>
              shown.levels[level] ? (
                <p key={level} className="flex items-center gap-1.5 tabular-nums">
                  <span className={`size-2 rounded-sm ${levelBar(level)}`} />
                  {level.toLowerCase()}
                  <span className="ml-auto pl-3">{count(shown.levels[level])}</span>
                </p>
              ) : null,
            )}
            {shown.total === 0 && <p className="text-soft">nothing</p>}
          </div>
        )}
      </div>
      <div className="mt-1 flex justify-between text-2xs text-soft tabular-nums" aria-hidden="true">
        {[0, 0.25, 0.5, 0.75].map((part) => (
          <span key={part} className={part % 0.5 ? "max-sm:hidden" : ""}>
            {formatMinute(Date.parse(buckets[Math.floor(part * buckets.length)]!.start), zone, now)}
          </span>
        ))}
        <span>{formatMinute(Date.parse(buckets.at(-1)!.start) + seconds * 1000, zone, now)}</span>
      </div>
    </div>
  );
}
