import { inBrief } from "./brief";
import { expect, test } from "vitest";
import type { LogEvent } from "../lib/types";
import { flatten } from "./event";
import { queryOf } from "./patterns";
import { readException } from "./stack";
import { merged, readMessages } from "./tail";

const event = (id: string): LogEvent => ({ id, timestamp: "2026-05-01T10:00:00Z", level: "INFO", service: "", environment: "", release: "", logger: "", host: "", message: id, trace_id: "", span_id: "", request_id: "", attributes: {}, exception: null });

test("the tail shows the newest first, each event once, and no more than it may", () => {
  const before = merged([event("a"), event("b")], []);
  expect(before.map((one) => one.id)).toEqual(["b", "a"]);
  expect(merged([event("b"), event("c")], before).map((one) => one.id)).toEqual(["c", "b", "a"]);
  expect(merged([event("d")], before, 2).map((one) => one.id)).toEqual(["d", "b"]);
});

test("what the server left out is counted", () => {
  const read = readMessages([
    { event: "message", data: JSON.stringify(event("a")), id: "1" },
    { event: "missed", data: '{"missed":4711}', id: "1" },
  ]);
  expect(read.events).toHaveLength(1);
  expect(read.missed).toBe(4711);
});

test("attributes are listed by the names that find them", () => {
  expect(flatten({ http: { status: 500 }, tags: ["a"], service: "x", none: null })).toEqual([
    { name: "http.status", field: "http.status", value: "500", plain: true },
    { name: "tags", field: "tags", value: '["a"]', plain: false },
    { name: "service", field: "attributes.service", value: "x", plain: true },
    { name: "none", field: "none", value: "null", plain: false },
  ]);
});

test("a stack trace is folded to what went wrong", () => {
  const stack = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    g()\nValueError: no';
  expect(readException(stack)).toEqual({ title: "ValueError: no", stack, frames: 1, causes: [] });
  expect(readException({ type: "KeyError", message: "x", stacktrace: stack, causes: [{ type: "OSError", message: "y" }] })).toEqual({ title: "KeyError: x", stack, frames: 1, causes: ["OSError: y"] });
  expect(readException(null)).toBeNull();
  expect(readException("just words")?.stack).toBe("");
});

test("a template's fixed parts become the query that finds its events", () => {
  expect(queryOf("job <*> failed: \"x\"")).toBe('message:"job" message:"failed: \\"x\\""');
});

test("the rest of a line has the short attributes that the message does not say", () => {
  const attributes = { method: "POST", duration_ms: 12.3456789, ok: true, nested: { a: 1 }, long: "x".repeat(40), client: "10.0.0.1", text: "a\nb" };
  expect(inBrief({ message: "POST /generate 200", attributes })).toBe("duration_ms=12.3457  ok=true  text=a b");
});
