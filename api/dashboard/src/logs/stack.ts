/** An exception as the store keeps it: a text, or an object with a type, a message and a stack trace. */

import type { Json } from "../lib/types";

export interface Trace {
  /** `ConnectionError: upstream refused`: what is seen while the rest is folded. */
  title: string;
  /** The whole stack as it was printed; empty where there is none. */
  stack: string;
  frames: number;
  causes: string[];
}

/** Read an exception; null where the event has none. */
export function readException(exception: Json): Trace | null {
  if (exception === null || exception === "") return null;
  if (typeof exception === "string") return fromText(exception);
  if (typeof exception !== "object" || Array.isArray(exception)) return fromText(JSON.stringify(exception));
  const text = (name: string) => (typeof exception[name] === "string" ? exception[name] : "");
  const stack = text("stacktrace") || text("stack") || text("traceback");
  const title = [text("type"), text("message")].filter(Boolean).join(": ") || (stack ? fromText(stack).title : JSON.stringify(exception));
  const causes = Array.isArray(exception.causes) ? exception.causes.map(cause).filter(Boolean) : [];
  return { title, stack, frames: countFrames(stack), causes };
}

function cause(one: Json): string {
  if (one === null || typeof one !== "object" || Array.isArray(one)) return "";
  return [one.type, one.message].filter((part) => typeof part === "string" && part).join(": ");
}

function fromText(stack: string): Trace {
  const lines = stack.split("\n").filter((line) => line.trim());
  const python = lines[0]?.startsWith("Traceback") ? lines.findLast((line) => /^\S/.test(line)) : undefined;
  return { title: python ?? lines[0] ?? "", stack: lines.length > 1 ? stack : "", frames: countFrames(stack), causes: [] };
}

function countFrames(stack: string): number {
  return stack.split("\n").filter((line) => /^\s+(File "|at |from )|^\s+\S+\.(go|rb|php|rs):\d+/.test(line)).length;
}
