import { useMemo, type ReactNode } from "react";
import { Link } from "react-router";
import { serverNow } from "../lib/client";
import { count } from "../lib/format";
import { term } from "../lib/query";
import { ago, formatFull } from "../lib/time";
import { useAddress, useRange } from "../lib/url";
import { LineChart } from "../ui/chart";
import { Empty, Failure, Snippet, Waiting } from "../ui/notice";
import { Badge, Panel } from "../ui/panel";
import { Table } from "../ui/table";
import { compared, lowerIsBetter, usualBaseline, type Compared } from "./compare";
import { evaluationsOf, useEvaluations, type Evaluation } from "./data";

const TONES: Record<string, "good" | "bad" | "warn" | "plain"> = { passed: "good", scored: "plain", failed: "bad", error: "bad", cancelled: "warn" };

/** Evaluations: scores over time, and models beside each other. */
export function Evaluations(): ReactNode {
  const { range, zone } = useRange();
  const { data, error, isPending, refetch } = useEvaluations(range);
  const all = useMemo(() => evaluationsOf(data ?? []), [data]);
  const suites = useMemo(() => [...new Set(all.map((one) => one.suite))].sort(), [all]);
  if (isPending) return <Waiting lines={6} />;
  if (!data) return error && <Failure error={error} onRetry={() => void refetch()} />;
  if (all.length === 0) {
    return (
      <Empty title="No evaluation ended in this range">
        <Snippet text={'from monitoring import llm\n\nwith llm.evaluation("mmlu-mini", model="support-bot-v3", at_least={"accuracy": 0.7}) as run:\n    run.score(accuracy=0.74)'} label="Tell of an evaluation" />
      </Empty>
    );
  }
  return (
    <>
      {suites.map((suite) => (
        <Suite key={suite} suite={suite} runs={all.filter((one) => one.suite === suite)} />
      ))}
      <Panel title="Evaluations" flush>
        <Table
          label="Evaluations"
          rows={all.slice(0, 200)}
          rowKey={(one) => one.id}
          columns={[
            { name: "suite", cell: (one) => <span className="font-medium">{one.suite}</span> },
            { name: "model", cell: (one) => one.model },
            { name: "outcome", cell: (one) => <span title={one.missed}><Badge tone={TONES[one.outcome] ?? "plain"}>{one.outcome}</Badge></span> },
            { name: "scores", cell: (one) => Object.entries(one.scores).map(([name, value]) => `${name} ${score(value)}`).join(" · ") },
            { name: "dataset", cell: (one) => one.dataset, wide: true },
            { name: "ended", cell: (one) => <Link className="text-accent" title={formatFull(one.ended, zone)} to={`/logs?${new URLSearchParams({ query: term("run_id", one.runId), start: "-30d" })}`}>{ago(one.ended, serverNow())}</Link>, right: true },
          ]}
        />
      </Panel>
    </>
  );
}

/** A score among others: as many digits for all, so that columns can be read. */
function score(value: number): string {
  return Number.isFinite(value) && Math.abs(value) < 100 ? value.toFixed(3) : count(value);
}

/** The latest scores of each model against one of them, and the main score over time. */
function Suite({ suite, runs }: { suite: string; runs: Evaluation[] }): ReactNode {
  const { zone } = useRange();
  const [params, change] = useAddress();
  const models = useMemo(() => [...new Set(runs.map((one) => one.model))], [runs]);
  const asked = params.get("baseline") ?? "";
  const baseline = models.includes(asked) ? asked : usualBaseline(runs);
  const rows = useMemo(() => compared(runs, baseline), [runs, baseline]);
  const names = useMemo(() => [...new Set(runs.flatMap((one) => Object.keys(one.scores)))].sort(), [runs]);
  const main = names.find((name) => /accuracy|pass_rate|score|f1/.test(name)) ?? names[0];
  const oldest = useMemo(() => [...runs].reverse(), [runs]);
  const times = useMemo(() => oldest.map((one) => Math.floor(Date.parse(one.ended) / 1000)), [oldest]);
  const lines = useMemo(
    () => (main === undefined ? [] : models.map((model) => ({ label: model, values: oldest.map((one) => (one.model === model && Number.isFinite(one.scores[main]) ? one.scores[main]! : null)) }))),
    [main, models, oldest],
  );
  return (
    <Panel
      title={suite}
      flush
      actions={
        models.length > 1 && (
          <label className="flex items-center gap-1.5 text-2xs text-soft">
            compared with
            <select value={baseline} onChange={(event) => change({ baseline: event.target.value }, { replace: true })} className="h-7 max-w-40 rounded-md border border-line bg-panel px-1.5 text-xs text-ink">
              {models.map((model) => (
                <option key={model}>{model}</option>
              ))}
            </select>
          </label>
        )
      }
    >
      <div className="grid gap-3 lg:grid-cols-2">
        <Table
          label={`Models in ${suite}`}
          rows={rows}
          rowKey={(one) => one.model}
          columns={[
            {
              name: "model",
              cell: (one) => (
                <span className="inline-flex flex-wrap items-center gap-1.5 font-medium whitespace-nowrap">
                  {one.model} {one.model === baseline && rows.length > 1 && <Badge>baseline</Badge>}
                </span>
              ),
            },
            ...names.map((name) => ({ name, right: true, cell: (one: Compared) => <Score name={name} of={one} /> })),
          ]}
        />
        {main !== undefined && times.length > 1 && (
          <div className="p-3">
            <p className="mb-1 text-2xs font-semibold text-soft">{main} over time</p>
            <LineChart label={`${main} of ${suite} over time`} x={times} lines={lines} unit="count" zone={zone} height={140} joined />
          </div>
        )}
      </div>
    </Panel>
  );
}

function Score({ name, of }: { name: string; of: Compared }): ReactNode {
  const found = of.scores[name];
  if (!found) return "–";
  const moved = found.delta !== null && Math.abs(found.delta) >= 0.0005 ? found.delta : null;
  const better = moved !== null && moved > 0 !== lowerIsBetter(name);
  return (
    <>
      <span className={found.best ? "font-semibold" : ""}>{score(found.value)}</span>
      {found.best && <span className="text-good" title="The best of this column"> ★<span className="sr-only"> best</span></span>}
      {moved !== null && <span className={`block text-2xs max-sm:ml-1 max-sm:inline ${better ? "text-good" : "text-bad"}`}>{`${moved > 0 ? "+" : "−"}${score(Math.abs(moved))}`}</span>}
    </>
  );
}
