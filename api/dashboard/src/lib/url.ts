/** What a page shows stands in its address, so that a link shows the same to somebody else. */

import { useCallback, useMemo, useState } from "react";
import { useSearchParams } from "react-router";
import { preference } from "./preferences";
import { DEFAULT_RANGE, type Range, type Zone } from "./time";

export type Patch = Record<string, string | null>;

/** The address' parameters, and a function that changes some of them: null takes one away. */
export function useAddress(): [URLSearchParams, (patch: Patch, options?: { replace?: boolean }) => void] {
  const [params, setParams] = useSearchParams();
  const change = useCallback(
    (patch: Patch, options: { replace?: boolean } = {}) =>
      setParams(
        (before) => {
          const next = new URLSearchParams(before);
          for (const [name, value] of Object.entries(patch)) {
            if (value === null || value === "") next.delete(name);
            else next.set(name, value);
          }
          return next;
        },
        { replace: options.replace ?? false },
      ),
    [setParams],
  );
  return [params, change];
}

/** Text that somebody types and that stands in the address: it is kept here as well, because the address follows too late for a field. */
export function useTyped(name: string): [string, (text: string) => void] {
  const [params, change] = useAddress();
  const [text, setText] = useState(params.get(name) ?? "");
  return [text, (next) => (setText(next), change({ [name]: next }, { replace: true }))];
}

/** The time range and zone of the address. */
export function useRange(): { range: Range; zone: Zone; setRange: (range: Range) => void; setZone: (zone: Zone) => void } {
  const [params, change] = useAddress();
  const start = params.get("start") ?? DEFAULT_RANGE.start;
  const end = params.get("end") ?? DEFAULT_RANGE.end;
  const asked = params.get("zone") ?? preference("zone");
  const zone: Zone = asked === "utc" ? "utc" : "local";
  const setRange = useCallback((next: Range) => change({ start: next.start, end: next.end === "now" ? null : next.end, event: null }), [change]);
  const setZone = useCallback((next: Zone) => change({ zone: next }, { replace: true }), [change]);
  return { range: useMemo(() => ({ start, end }), [start, end]), zone, setRange, setZone };
}

const CARRIED = ["start", "end", "zone"] as const;

/** The part of the address that goes along from page to page. */
export function carried(params: URLSearchParams): string {
  const kept = new URLSearchParams();
  for (const name of CARRIED) {
    const value = params.get(name);
    if (value) kept.set(name, value);
  }
  const text = kept.toString();
  return text ? `?${text}` : "";
}
