/** The live tail: what arrives is gathered and shown a few times a second, however fast it comes. */

import { useEffect, useRef, useState } from "react";
import type { LogEvent } from "../lib/types";
import { follow, type Message } from "../lib/sse";

const MOST = 5000; // events kept; a screen shows fifty, and the search has the rest
const SHOW_EVERY_MS = 200;

export interface Tail {
  /** The newest first. */
  events: readonly LogEvent[];
  /** Arrived while paused, not shown yet. */
  waiting: number;
  /** Left out by the server, because more came than could be sent. */
  missed: number;
  state: "connecting" | "open" | "waiting";
  error: unknown;
}

/** Events of one batch and those before, the newest first, each id once, at most `most`. */
export function merged(batch: readonly LogEvent[], before: readonly LogEvent[], most = MOST): LogEvent[] {
  const seen = new Set<string>();
  const found: LogEvent[] = [];
  for (const list of [[...batch].reverse(), before]) {
    for (const event of list) {
      if (found.length >= most) return found;
      if (seen.has(event.id)) continue;
      seen.add(event.id);
      found.push(event);
    }
  }
  return found;
}

/** What the messages of a stream say. */
export function readMessages(messages: readonly Message[]): { events: LogEvent[]; missed: number } {
  const events: LogEvent[] = [];
  let missed = 0;
  for (const message of messages) {
    if (message.event === "missed") missed += Number((JSON.parse(message.data) as { missed: number }).missed) || 0;
    else events.push(JSON.parse(message.data) as LogEvent);
  }
  return { events, missed };
}

/** Follow what matches the query, from the newest hundred on, while `on`; while `paused` it is gathered and not shown. */
export function useTail(query: string, on: boolean, paused: boolean): Tail {
  const [tail, setTail] = useState<Tail>({ events: [], waiting: 0, missed: 0, state: "connecting", error: null });
  const gathered = useRef<LogEvent[]>([]);
  const isPaused = useRef(paused);
  isPaused.current = paused;
  useEffect(() => {
    if (!on) return;
    gathered.current = [];
    setTail({ events: [], waiting: 0, missed: 0, state: "connecting", error: null });
    let told = 0;
    const show = () => {
      const batch = gathered.current;
      if (isPaused.current) {
        if (batch.length > MOST) batch.splice(0, batch.length - MOST);
        if (batch.length !== told) setTail((before) => ({ ...before, waiting: batch.length }));
        told = batch.length;
        return;
      }
      told = 0;
      if (batch.length === 0) return;
      gathered.current = [];
      setTail((before) => ({ ...before, events: merged(batch, before.events), waiting: 0 }));
    };
    const timer = setInterval(show, SHOW_EVERY_MS);
    const stop = follow(
      "/api/v1/logs/tail",
      { query, limit: 100 },
      {
        onMessages: (messages) => {
          const { events, missed } = readMessages(messages);
          gathered.current.push(...events);
          if (missed) setTail((before) => ({ ...before, missed: before.missed + missed }));
        },
        onState: (state, error) => setTail((before) => ({ ...before, state, error: state === "open" ? null : (error ?? before.error) })),
      },
    );
    return () => {
      clearInterval(timer);
      stop();
    };
  }, [query, on]);
  return tail;
}
