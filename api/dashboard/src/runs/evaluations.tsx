import { useMemo, type ReactNode } from "react";
import { Link } from "react-router";
import { serverNow } from "../lib/client";
import { count } from "../lib/format";
import { term } from "../lib/query";
import { ago, formatFull } from "../lib/time";
import { useRange } from "../lib/url";
import { LineChart } from "../ui/chart";
import { Empty, Failure, Snippet, Waiting } from "../ui/notice";
import { Badge, Panel } from "../ui/panel";
import { Table } from "../ui/table";
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
            { name: "scores", cell: (one) => Object.entries(one.scores).map(([name, value]) => `${name} ${count(value)}`).join(" · ") },
            { name: "dataset", cell: (one) => one.dataset, wide: true },
            { name: "ended", cell: (one) => <Link className="text-accent" title={formatFull(one.ended, zone)} to={`/logs?${new URLSearchParams({ query: term("run_id", one.runId), start: "-30d" })}`}>{ago(one.ended, serverNow())}</Link>, right: true },
          ]}
        />
      </Panel>
    </>
  );
}

/** Latest scores of each model, with the best of each score marked. */
function Suite({ suite, runs }: { suite: string; runs: Evaluation[] }): ReactNode {
  const { zone } = useRange();
  const names = [...new Set(runs.flatMap((one) => Object.keys(one.scores)))].sort();
  const latest = [...new Map([...runs].reverse().map((one) => [one.model, one])).values()];
  const main = names.find((name) => /accuracy|pass_rate|score|f1/.test(name)) ?? names[0];
  const times = runs.map((one) => Math.floor(Date.parse(one.ended) / 1000)).reverse();
  const models = latest.map((one) => one.model);
  const lines = main === undefined ? [] : models.map((model) => ({ label: model, values: [...runs].reverse().map((one) => (one.model === model && Number.isFinite(one.scores[main]) ? one.scores[main]! : null)) }));
  return (
    <Panel title={suite} flush>
      <div className="grid gap-3 lg:grid-cols-2">
        <Table
          label={`Models in ${suite}`}
          rows={latest}
          rowKey={(one) => one.model}
          columns={[
            { name: "model", cell: (one) => <span className="font-medium">{one.model}</span> },
            ...names.map((name) => ({
              name,
              right: true,
              cell: (one: Evaluation) => {
                const value = one.scores[name];
                if (value === undefined) return "–";
                const before = runs.filter((run) => run.model === one.model)[1]?.scores[name];
                const moved = before === undefined ? 0 : value - before;
                return (
                  <>
                    {count(value)} {moved !== 0 && <span className="text-2xs text-soft">{`${moved > 0 ? "+" : "−"}${count(Math.abs(moved))}`}</span>}
                  </>
                );
              },
            })),
          ]}
        />
        {main !== undefined && times.length > 1 && (
          <div className="p-3">
            <LineChart label={`${main} over time`} x={times} lines={lines} unit="count" zone={zone} height={140} joined />
          </div>
        )}
      </div>
    </Panel>
  );
}
