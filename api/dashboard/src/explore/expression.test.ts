import { expect, test } from "vitest";
import { columnOf, promWritingAt } from "./expression";

test("what is written at the cursor is a metric, a label of one, or a label's value", () => {
  expect(promWritingAt("sum(rate(http_se", 16)).toEqual({ kind: "name", text: "http_se", begin: 9 });
  expect(promWritingAt("up{jo", 5)).toEqual({ kind: "label", text: "jo", begin: 3, metric: "up" });
  expect(promWritingAt('up{job="ap', 10)).toEqual({ kind: "value", text: "ap", begin: 8, metric: "up", label: "job" });
  expect(promWritingAt("sum by (ho", 10)).toMatchObject({ kind: "label", text: "ho" });
});

test.each([
  ["sum by (x", "parse error: unclosed left parenthesis", 8],
  ['rate(x{a="("}[5m]', "parse error: unclosed left parenthesis", 5],
  ['x{a="b', 'parse error: unterminated quoted string "', 5],
  ["rate(foo[5m)", "parse error: unexpected character inside brackets: ')'", 12],
  ["1 + rate(foo)", "parse error: expected type matrix in call to function 'rate', got vector", 5],
  ["nope(x)", "parse error: unknown function with name 'nope'", 1],
  ["x", "the time was up", 0],
  ["a + a", "parse error: unexpected 'a'", 0],
])("%s is marked where it is wrong", (expr, message, column) => {
  expect(columnOf(expr, message)).toBe(column);
});
