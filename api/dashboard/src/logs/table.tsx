import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, useCallback, useEffect, useMemo, useRef, type ReactNode } from "react";
import { clock, dayOf, type Zone } from "../lib/time";
import type { LogEvent } from "../lib/types";
import { Icon } from "../ui/icons";
import { LevelTag } from "../ui/level";
import { EventDetail } from "./event";
import { inBrief } from "./brief";

interface Props {
  events: readonly LogEvent[];
  zone: Zone;
  today: string;
  open: ReadonlySet<string>;
  active: string | null;
  marked: RegExp | null;
  onToggle: (id: string) => void;
  onTerm: (one: string) => void;
  onContext: (id: string) => void;
  /** The end is near: more should be loaded. */
  onEnd: () => void;
  /** Whether the newest row is in sight. */
  onTop: (top: boolean) => void;
  footer: ReactNode;
}

// Pixels of a closed row, border and all. They must be what is measured: each difference has the places of all rows below
// computed anew, and with a hundred thousand of them that is what one sees instead of scrolling.
const ROW = 25;
const NARROW_ROW = 38;

/** The events, as many as there are: only the rows in sight exist. */
export function EventTable(props: Props): ReactNode {
  const { events, onEnd, onTop, active } = props;
  const scroller = useRef<HTMLDivElement>(null);
  // The same function while the events are the same: a new one has the places of all rows computed anew, at each scroll.
  const getItemKey = useCallback((at: number) => events[at]?.id ?? "footer", [events]);
  const rows = useVirtualizer({
    count: events.length + 1,
    getScrollElement: () => scroller.current,
    estimateSize: () => (window.innerWidth < 640 ? NARROW_ROW : ROW),
    getItemKey,
    overscan: 12,
  });
  const shown = rows.getVirtualItems();
  const last = shown.at(-1)?.index ?? 0;
  useEffect(() => {
    if (events.length > 0 && last >= events.length - 20) onEnd();
  }, [last, events.length, onEnd]);
  useEffect(() => {
    const at = active === null ? -1 : events.findIndex((event) => event.id === active);
    if (at >= 0) rows.scrollToIndex(at, { align: "auto" });
    // eslint-disable-next-line react-hooks/exhaustive-deps -- only where the choice moves, not where events arrive
  }, [active]);
  return (
    <div ref={scroller} tabIndex={0} role="region" aria-label="Events" data-testid="events" className="h-full overflow-auto outline-offset-[-2px]" onScroll={(event) => onTop(event.currentTarget.scrollTop < 8)}>
      <div className="relative w-full" style={{ height: rows.getTotalSize() }}>
        {shown.map((row) => {
          const event = events[row.index];
          return (
            <div key={row.key} ref={rows.measureElement} data-index={row.index} className="absolute top-0 left-0 w-full" style={{ transform: `translateY(${row.start}px)` }}>
              {event ? <Row {...props} event={event} isOpen={props.open.has(event.id)} isActive={event.id === active} /> : props.footer}
            </div>
          );
        })}
      </div>
    </div>
  );
}

type RowProps = Pick<Props, "zone" | "today" | "marked" | "onToggle" | "onTerm" | "onContext"> & { event: LogEvent; isOpen: boolean; isActive: boolean };

const Row = memo(function Row({ event, zone, today, marked, isOpen, isActive, onToggle, onTerm, onContext }: RowProps): ReactNode {
  const at = Date.parse(event.timestamp);
  const day = dayOf(at, zone);
  const brief = useMemo(() => inBrief(event), [event]);
  const firstLine = event.message.split("\n", 1)[0]!.slice(0, 600);
  return (
    <div className={`border-b border-line/60 ${isActive ? "bg-accent-soft" : ""}`}>
      <button
        type="button"
        aria-expanded={isOpen}
        data-event={event.id}
        onClick={() => onToggle(event.id)}
        className="grid min-h-6 w-full grid-cols-[auto_auto_1fr] items-baseline gap-x-2 px-2 py-0.5 text-left hover:bg-raised sm:grid-cols-[auto_auto_7.5rem_1fr] sm:gap-x-3"
      >
        <time dateTime={event.timestamp} className="font-mono text-2xs text-soft tabular-nums sm:text-xs">
          {day !== today && <span>{day.slice(5)} </span>}
          {clock(at, zone, 3)}
        </time>
        <LevelTag level={event.level} />
        <span className="truncate text-xs text-soft" title={event.service}>
          {event.service || "–"}
        </span>
        <span className="flex min-w-0 items-center gap-1.5 font-mono text-xs max-sm:col-span-3">
          <span className="truncate">
            {marked ? <Marked text={firstLine} pattern={marked} /> : firstLine}
            {brief && <span className="ml-3 text-2xs text-soft max-sm:hidden">{brief}</span>}
          </span>
          {event.exception !== null && event.exception !== "" && (
            <span title="With an exception" className="text-bad">
              <Icon name="warning" size={13} />
            </span>
          )}
        </span>
      </button>
      {isOpen && <EventDetail event={event} zone={zone} onTerm={onTerm} onContext={onContext} />}
    </div>
  );
});

function Marked({ text, pattern }: { text: string; pattern: RegExp }): ReactNode {
  return text.split(pattern).map((part, at) => (at % 2 ? <mark key={at}>{part}</mark> : part));
}
