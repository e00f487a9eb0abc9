import { expect, test } from "vitest";
import { lines, ruleBody, type Rule } from "./data";
import { around } from "./detail";
import { daysInWords } from "./windows";

const RULE: Rule = { name: "r", kind: "logs", query: "level:error", operator: ">=", threshold: 3, severity: "warning", enabled: true };

test("a rule goes back without what is only shown, what other kinds have, and what is empty", () => {
  const shown: Rule = { ...RULE, expr: "", source: "api", read_only: false, channels: [], labels: {}, status: { state: "ok", note: "", evaluated_at: null, took_ms: null, groups: 0 } };
  expect(ruleBody(shown)).toEqual(RULE);
  expect(ruleBody({ ...RULE, kind: "metric", expr: "up" })).toEqual({ name: "r", kind: "metric", expr: "up", operator: ">=", threshold: 3, severity: "warning", enabled: true });
});

test("a rule of silence or of new messages has no threshold", () => {
  expect(ruleBody({ ...RULE, condition: "zero" })).not.toHaveProperty("threshold");
  expect(ruleBody({ ...RULE, condition: "threshold" })).toHaveProperty("threshold", 3);
});

test("steps of escalation and inhibitions go back whole", () => {
  const rule: Rule = { ...RULE, escalation: [{ after: "15m", channels: ["pager"] }], inhibited_by: [{ rule: "other", equal: ["host", ""] }] };
  expect(ruleBody(rule)).toMatchObject({ escalation: [{ after: "15m", channels: ["pager"] }], inhibited_by: [{ rule: "other", equal: ["host"] }] });
});

test("the days of a window are told in words", () => {
  expect(daysInWords(["mon", "tue", "wed", "thu", "fri", "sat", "sun"])).toBe("every day");
  expect(daysInWords(["fri", "mon", "tue", "wed", "thu"])).toBe("mon to fri");
  expect(daysInWords(["sun", "sat"])).toBe("sat, sun");
});

test("matchers are read a line each", () => expect(lines(" a=b \n\nc=~d\n")).toEqual(["a=b", "c=~d"]));

test("the chart of an alert reaches from before it came to after it went", () => {
  expect(around({ started_at: "2026-05-01T12:00:00Z", resolved_at: null })).toEqual({ start: "2026-05-01T11:30:00.000Z", end: "now" });
  expect(around({ started_at: "2026-05-01T12:00:00Z", resolved_at: "2026-05-01T13:00:00Z" }).end).toBe("2026-05-01T13:10:00.000Z");
});
