import { expect, test } from "vitest";
import { markedWords, term, terms, toggleTerm, withTerm, writingAt } from "./query";

test("values are quoted exactly where the language needs it", () => {
  expect(term("service", "api")).toBe("service:api");
  expect(term("service", "api gateway")).toBe('service:"api gateway"');
  expect(term("user_id", "42")).toBe("user_id:42");
  expect(term("path", "/api/users")).toBe('path:"/api/users"');
  expect(term("message", 'say "hi" \\ bye')).toBe('message:"say \\"hi\\" \\\\ bye"');
  expect(term("range", "1..5")).toBe('range:"1..5"');
  expect(term("word", "OR")).toBe('word:"OR"');
  expect(term("glob", "a*b")).toBe('glob:"a*b"');
  expect(term("empty", "")).toBe('empty:""');
  expect(term("user id", "42", true)).toBe('-"user id":42');
});

test("terms are split at blanks outside of quotes and parentheses", () => {
  expect(terms('a "b c" service:(x OR y)  -z')).toEqual(["a", '"b c"', "service:(x OR y)", "-z"]);
  expect(terms("")).toEqual([]);
  expect(terms('"open quote stays')).toEqual(['"open quote stays']);
});

test("a term is added once, replaces its opposite, and never lands inside an OR", () => {
  expect(withTerm("", "level:error")).toBe("level:error");
  expect(withTerm("level:error", "level:error")).toBe("level:error");
  expect(withTerm("a -level:error", "level:error")).toBe("a level:error");
  expect(withTerm("a OR b", "level:error")).toBe("(a OR b) level:error");
  expect(toggleTerm("a level:error b", "level:error")).toBe("a b");
});

test("what is being written at the cursor is a name, or a value of a field", () => {
  expect(writingAt("timeout serv", 12)).toEqual({ kind: "name", text: "serv", begin: 8 });
  expect(writingAt("-service:ap", 11)).toEqual({ kind: "value", field: "service", text: "ap", begin: 9 });
  expect(writingAt("duration_ms:>1", 14)).toEqual({ kind: "value", field: "duration_ms", text: "1", begin: 12 });
  expect(writingAt("(level:err", 10)).toEqual({ kind: "value", field: "level", text: "err", begin: 7 });
});

test("only words that are looked for in the message are marked", () => {
  expect(markedWords('timeout "connection refused" -noise level:error message:broken a OR b')).toEqual(["timeout", "connection refused", "broken"]);
});
