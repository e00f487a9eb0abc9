/** Server-sent events over fetch: unlike EventSource it tells why a stream was refused. */

import { ApiError, send, type Params } from "./client";

export interface Message {
  event: string;
  data: string;
  id: string;
}

/** Takes pieces of a stream as they come and gives back the messages that are complete. */
export class StreamParser {
  private rest = "";
  private event = "";
  private data: string[] = [];
  private id = "";
  /** What the server wishes between two attempts, milliseconds; 0: it said nothing. */
  retryMs = 0;

  feed(piece: string): Message[] {
    const found: Message[] = [];
    const lines = (this.rest + piece).split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") {
        if (this.data.length) found.push({ event: this.event || "message", data: this.data.join("\n"), id: this.id });
        this.event = "";
        this.data = [];
      } else this.field(line);
    }
    return found;
  }

  private field(line: string): void {
    if (line.startsWith(":")) return;
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") this.data.push(value);
    else if (name === "event") this.event = value;
    else if (name === "id") this.id = value;
    else if (name === "retry" && /^\d+$/.test(value)) this.retryMs = Number(value);
  }
}

export interface Listener {
  onMessages: (messages: Message[]) => void;
  onState: (state: "connecting" | "open" | "waiting", error?: unknown) => void;
}

const LONGEST_WAIT_MS = 15_000;

/** Follow a stream until the function that is given back is called; connects again by itself, from the last id. */
export function follow(path: string, params: Params, listener: Listener): () => void {
  const stop = new AbortController();
  void run(path, params, listener, stop.signal);
  return () => stop.abort();
}

async function run(path: string, params: Params, listener: Listener, signal: AbortSignal): Promise<void> {
  let last = "";
  let failures = 0;
  while (!signal.aborted) {
    let retryMs = 2000;
    listener.onState("connecting");
    try {
      const response = await send("GET", path, { params, signal, headers: { Accept: "text/event-stream", ...(last ? { "Last-Event-ID": last } : {}) } });
      listener.onState("open");
      const parser = new StreamParser();
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        failures = 0;
        const messages = parser.feed(value);
        last = messages.at(-1)?.id || last;
        retryMs = parser.retryMs || retryMs;
        if (messages.length) listener.onMessages(messages);
      }
      listener.onState("waiting");
    } catch (error) {
      if (signal.aborted) return;
      listener.onState("waiting", error);
      if (error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429) return;
      failures += 1;
    }
    await pause(Math.min(retryMs * 2 ** failures, LONGEST_WAIT_MS), signal);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), done()), { once: true });
  });
}
