import { expect, test } from "vitest";
import { ago, between, clock, describeRange, fromInput, isRelative, resolve, resolveRange, secondsOf, stepFor, toInput } from "./time";

const NOW = Date.parse("2026-05-01T12:00:00Z");

test("relative, absolute and numeric times are understood, others are not", () => {
  expect(resolve("now", NOW)).toBe(NOW);
  expect(resolve("-15m", NOW)).toBe(NOW - 900_000);
  expect(resolve("now-2d", NOW)).toBe(NOW - 2 * 86_400_000);
  expect(resolve("2026-05-01T10:00:00Z", NOW)).toBe(NOW - 7_200_000);
  expect(resolve("1777629600", NOW)).toBe(1_777_629_600_000);
  expect(resolve("1777629600123", NOW)).toBe(1_777_629_600_123);
  for (const wrong of ["", "yesterday", "-5 apples", "12", "--5m"]) expect(resolve(wrong, NOW)).toBeNull();
});

test("a range that is none becomes the last hour", () => {
  const hour = { start: NOW - 3_600_000, end: NOW };
  expect(resolveRange({ start: "x", end: "now" }, NOW)).toEqual(hour);
  expect(resolveRange({ start: "now", end: "-1h" }, NOW)).toEqual(hour);
});

test("a range moves with the clock unless both ends stand still", () => {
  expect(isRelative({ start: "-1h", end: "now" })).toBe(true);
  expect(isRelative({ start: "2026-05-01T10:00:00Z", end: "now" })).toBe(true);
  expect(isRelative(between(NOW - 1000, NOW))).toBe(false);
});

test("times are shown in the zone that was asked for", () => {
  expect(clock(NOW + 123, "utc", 3)).toBe("12:00:00.123");
  expect(clock(-1, "utc", 3)).toBe("23:59:59.999");
  expect(describeRange({ start: "-1h", end: "now" }, "utc", NOW)).toBe("Last hour");
  expect(describeRange({ start: "-36h", end: "now" }, "utc", NOW)).toBe("Last 36 h");
  expect(describeRange(between(NOW - 3_600_000, NOW - 60_000), "utc", NOW)).toBe("11:00 – 11:59");
  expect(describeRange(between(NOW - 2 * 86_400_000, NOW), "utc", NOW)).toBe("29 Apr 12:00 – 12:00");
});

test("what a field shows reads back as the same moment", () => {
  for (const zone of ["utc", "local"] as const) expect(fromInput(toInput(NOW, zone), zone)).toBe(NOW);
});

test("ages are told in one unit", () => {
  expect([2, 42, 600, 7200, 260_000].map((seconds) => ago(NOW - seconds * 1000, NOW))).toEqual(["now", "42 s ago", "10 min ago", "2 h ago", "3 d ago"]);
  expect(ago(NOW + 600_000, NOW)).toBe("in 10 min");
});

test("a chart's step is round and gives no more points than asked for", () => {
  expect(stepFor({ start: NOW - 3_600_000, end: NOW }, 240)).toBe(15);
  expect(stepFor({ start: NOW - 7 * 86_400_000, end: NOW }, 240)).toBe(3600);
  expect(stepFor({ start: NOW - 1000 * 86_400_000, end: NOW }, 240) % 86_400).toBe(0);
});

test("durations are added up, and what is none has no length", () => {
  expect(secondsOf("40m")).toBe(2400);
  expect(secondsOf("1h30m")).toBe(5400);
  expect(secondsOf("soon")).toBe(0);
});
