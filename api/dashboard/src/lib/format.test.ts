import { expect, test } from "vitest";
import { bytes, count, dollars, duration, percent, unitOf } from "./format";

test("counts stay exact to ten thousand and are rounded beyond", () => {
  expect([0, 7, 1467.3, 9999, 12_345, 4_200_000, 0.1234].map(count)).toEqual(["0", "7", "1,467", "9,999", "12.3 k", "4.2 M", "0.123"]);
  expect([NaN, Infinity, -Infinity].map(count)).toEqual(["NaN", "∞", "−∞"]);
});

test("sizes, durations, ratios and money have their units", () => {
  expect([0, 1023, 1024, 3.25 * 2 ** 30].map(bytes)).toEqual(["0 B", "1023 B", "1 KiB", "3.25 GiB"]);
  expect([0, 0.00025, 0.25, 1.5, 59.9, 200, 7500, 353_000].map(duration)).toEqual(["0 s", "250 µs", "250 ms", "1.5 s", "59.9 s", "3 min 20 s", "2 h 5 min", "4 d 2 h"]);
  expect([0, 0.1234, 0.0123, 1].map(percent)).toEqual(["0 %", "12.3 %", "1.2 %", "100 %"]);
  expect([0, 1.2, 1234.5, 0.00012].map(dollars)).toEqual(["$0.00", "$1.20", "$1,234.50", "$0.00012"]);
});

test("the unit of an expression is what its metric's name says", () => {
  expect(unitOf("system_cpu_usage_ratio")).toBe("ratio");
  expect(unitOf("system_memory_used_bytes")).toBe("bytes");
  expect(unitOf("rate(system_network_bytes_total[5m])")).toBe("bytes/s");
  expect(unitOf("histogram_quantile(0.95, sum by (le) (rate(http_server_request_duration_seconds_bucket[5m])))")).toBe("seconds");
  expect(unitOf("sum(increase(llm_cost_usd_total[1h]))")).toBe("usd");
  expect(unitOf("sum(rate(http_server_request_duration_seconds_count[5m]))")).toBe("rate");
  expect(unitOf("system_load1")).toBe("count");
  expect(unitOf('sum by (service) (rate(http_server_requests_total{status=~"5.."}[5m])) / sum by (service) (rate(http_server_requests_total[5m]))')).toBe("ratio");
  expect(unitOf("sum(rate(llm_cost_usd_total[5m])) / sum(rate(llm_requests_total[5m]))")).toBe("usd");
});
