/** What else an event says, in the rest of its line. */

import type { Json, LogEvent } from "../lib/types";

const MOST = 6; // attributes: a wide screen has room for no more
const LONGEST = 32; // characters of a value
const LEFT = /^(event\.name|client|user_agent|parent_span_id)$/; // long, or the same in every line of a kind

/** `duration_ms=512 status=200`: the first attributes that are short and that the message does not say. */
export function inBrief(event: Pick<LogEvent, "message" | "attributes">): string {
  const found: string[] = [];
  for (const [name, value] of Object.entries(event.attributes)) {
    const text = plain(value);
    if (text === "" || text.length > LONGEST || LEFT.test(name) || event.message.includes(text)) continue;
    found.push(`${name}=${text}`);
    if (found.length >= MOST) break;
  }
  return found.join("  ");
}

function plain(value: Json): string {
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
  return typeof value === "string" || typeof value === "boolean" ? String(value).replace(/\s+/g, " ").trim() : "";
}
