import { expect, test } from "vitest";
import { compared, usualBaseline } from "./compare";
import type { Evaluation } from "./data";

const run = (model: string, ended: string, scores: Record<string, number>): Evaluation => ({ id: model + ended, runId: "", suite: "s", model, dataset: "", ended, outcome: "passed", scores, missed: "" });
const RUNS = [run("v1", "2026-05-01T10:00:00Z", { accuracy: 0.7, loss: 0.5 }), run("v2", "2026-05-02T10:00:00Z", { accuracy: 0.6, loss: 0.4 }), run("v1", "2026-05-01T12:00:00Z", { accuracy: 0.8, loss: 0.6 })];

test("the newest run of each model stands against the baseline's", () => {
  const [newest, before] = compared(RUNS, "v1");
  expect(newest!.model).toBe("v2");
  expect(newest!.scores.accuracy!.delta).toBeCloseTo(-0.2);
  expect(before!.scores.accuracy).toEqual({ value: 0.8, delta: null, best: true });
});

test("of a loss the lowest is best", () => {
  expect(compared(RUNS, "v1").map((one) => one.scores.loss!.best)).toEqual([true, false]);
});

test("one model alone is the best of nothing, and the usual baseline is the model before the newest", () => {
  expect(compared([RUNS[0]!], "")[0]!.scores.accuracy!.best).toBe(false);
  expect(usualBaseline(RUNS)).toBe("v1");
  expect(usualBaseline([])).toBe("");
});
