/** Evaluations of one suite beside each other. */

import type { Evaluation } from "./data";

export interface Compared {
  model: string;
  /** The newest of the model. */
  run: Evaluation;
  scores: Record<string, { value: number; /** Against the baseline; null for itself and where it has none. */ delta: number | null; best: boolean }>;
}

const LOWER = /loss|error|perplexity|latency|seconds|cost|toxic|hallucinat|wer$|cer$/i;

/** Whether less of a score is better, as its name says. */
export function lowerIsBetter(name: string): boolean {
  return LOWER.test(name);
}

/** The newest run of each model, the newest model first, with its scores against those of the baseline model. */
export function compared(runs: readonly Evaluation[], baseline: string): Compared[] {
  const latest = new Map<string, Evaluation>();
  for (const run of runs) if (!latest.has(run.model) || latest.get(run.model)!.ended < run.ended) latest.set(run.model, run);
  const all = [...latest.values()].sort((a, b) => b.ended.localeCompare(a.ended));
  const base = latest.get(baseline);
  const best = new Map<string, number>();
  for (const { scores } of all) {
    for (const [name, value] of Object.entries(scores)) {
      const before = best.get(name);
      if (Number.isFinite(value) && (before === undefined || (lowerIsBetter(name) ? value < before : value > before))) best.set(name, value);
    }
  }
  return all.map((run) => ({
    model: run.model,
    run,
    scores: Object.fromEntries(
      Object.entries(run.scores).map(([name, value]) => {
        const against = run === base ? undefined : base?.scores[name];
        return [name, { value, delta: against === undefined ? null : value - against, best: all.length > 1 && value === best.get(name) }];
      }),
    ),
  }));
}

/** What to compare with where nobody chose: the model before the newest. */
export function usualBaseline(runs: readonly Evaluation[]): string {
  return compared(runs, "")[1]?.model ?? "";
}
