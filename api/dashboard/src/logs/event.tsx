import { useState, type ReactNode } from "react";
import { address } from "../lib/client";
import { attributeField, term } from "../lib/query";
import { formatFull, type Zone } from "../lib/time";
import type { Json, LogEvent } from "../lib/types";
import { Button } from "../ui/button";
import { Icon } from "../ui/icons";
import { Copy } from "../ui/notice";
import { readException } from "./stack";

interface Props {
  event: LogEvent;
  zone: Zone;
  onTerm: (one: string) => void;
  onContext: (id: string) => void;
}

interface Entry {
  name: string;
  field: string;
  value: string;
  plain: boolean;
}

/** Attributes as they are searched: nested objects by their dotted names. */
export function flatten(attributes: Record<string, Json>, prefix = ""): Entry[] {
  return Object.entries(attributes).flatMap(([name, value]): Entry[] => {
    const path = prefix + name;
    if (value !== null && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length > 0) return flatten(value, `${path}.`);
    const plain = value === null || typeof value !== "object";
    return [{ name: path, field: attributeField(path), value: typeof value === "string" ? value : JSON.stringify(value), plain: plain && value !== null }];
  });
}

const FIELDS = ["service", "environment", "release", "logger", "host", "trace_id", "span_id", "request_id"] as const;

/** All of an event. */
export function EventDetail({ event, zone, onTerm, onContext }: Props): ReactNode {
  const entries: Entry[] = [
    ...FIELDS.filter((name) => event[name]).map((name) => ({ name, field: name, value: event[name], plain: true })),
    ...flatten(event.attributes),
  ];
  const link = `${location.origin}${address("/logs", { event: event.id })}`;
  return (
    <div className="flex flex-col gap-3 border-l-2 border-accent bg-ground px-3 py-2.5 sm:pl-6">
      <div className="flex flex-wrap items-center gap-1">
        <span className="mr-2 font-mono text-xs text-soft" title={event.timestamp}>
          {formatFull(event.timestamp, zone)}
        </span>
        <Button small icon="logs" onClick={() => onContext(event.id)}>
          Context
        </Button>
        {event.trace_id && (
          <Button small icon="filter" onClick={() => onTerm(term("trace_id", event.trace_id))}>
            This trace
          </Button>
        )}
        <Copy text={JSON.stringify(event, null, 2)} title="Copy as JSON" label="JSON" />
        <Copy text={link} title="Copy a link to this event" label="Link" />
      </div>
      <p className="max-h-96 overflow-auto font-mono text-xs whitespace-pre-wrap wrap-anywhere">{event.message}</p>
      <Exception exception={event.exception} />
      {entries.length > 0 && (
        <table className="w-full max-w-4xl table-fixed text-xs">
          <caption className="sr-only">Fields and attributes</caption>
          <colgroup>
            <col className="w-28 sm:w-44" />
            <col />
            <col className="w-24" />
          </colgroup>
          <tbody>
            {entries.map((entry) => (
              <tr key={entry.name} className="group border-t border-line first:border-0">
                <th scope="row" className="truncate py-0.5 pr-3 text-left align-baseline font-medium text-soft" title={entry.name}>
                  {entry.name}
                </th>
                <td className="py-0.5 align-baseline font-mono wrap-anywhere whitespace-pre-wrap">{entry.value}</td>
                <td className="h-7 text-right align-middle">
                  <span className="inline-flex opacity-0 group-focus-within:opacity-100 group-hover:opacity-100 max-lg:opacity-100">
                    {entry.plain && (
                      <>
                        <Button small look="quiet" icon="plus" title={`Only ${entry.name} ${entry.value.slice(0, 80)}`} onClick={() => onTerm(term(entry.field, entry.value))} />
                        <Button small look="quiet" icon="minus" title={`Without ${entry.name} ${entry.value.slice(0, 80)}`} onClick={() => onTerm(term(entry.field, entry.value, true))} />
                      </>
                    )}
                    <Copy text={entry.value} title={`Copy ${entry.name}`} />
                  </span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </div>
  );
}

function Exception({ exception }: { exception: Json }): ReactNode {
  const [open, setOpen] = useState(false);
  const trace = readException(exception);
  if (!trace) return null;
  return (
    <div className="rounded-md border border-line bg-panel">
      <div className="flex items-start">
        <button type="button" aria-expanded={open} disabled={!trace.stack} onClick={() => setOpen(!open)} className="flex min-w-0 flex-1 items-start gap-1.5 px-2 py-1.5 text-left">
          {trace.stack && <Icon name={open ? "down" : "right"} />}
          <span className="min-w-0 font-mono text-xs font-semibold wrap-anywhere text-bad">{trace.title}</span>
          {trace.frames > 0 && <span className="ml-auto shrink-0 text-2xs text-soft">{trace.frames} frames</span>}
        </button>
        <Copy text={trace.stack || trace.title} title="Copy the exception" />
      </div>
      {trace.causes.map((one) => (
        <p key={one} className="px-2 pb-1 pl-7 font-mono text-xs text-soft">
          because of {one}
        </p>
      ))}
      {open && (
        <pre tabIndex={0} aria-label="Stack trace" className="max-h-96 overflow-auto border-t border-line px-3 py-2 font-mono text-xs">
          {trace.stack}
        </pre>
      )}
    </div>
  );
}
