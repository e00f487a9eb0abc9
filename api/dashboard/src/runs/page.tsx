import { useMemo, type ReactNode } from "react";
import { useAddress, useRange } from "../lib/url";
import { ExpressionChart } from "../explore/chart";
import { BOARDS } from "../explore/boards";
import { count, dollars, duration, percent } from "../lib/format";
import { useInstant, useNames } from "../lib/prom";
import { Empty, Failure, Snippet, Waiting } from "../ui/notice";
import { Badge, PageBody, Panel, Tabs } from "../ui/panel";
import { Figure, Figures, Table } from "../ui/table";
import { Evaluations } from "./evaluations";
import { Jobs } from "./jobs";

const TABS = [
  { value: "jobs", name: "Fine-tuning" },
  { value: "evaluations", name: "Evaluations" },
  { value: "calls", name: "Tokens and cost" },
  { value: "caches", name: "Caches" },
] as const;
type Tab = (typeof TABS)[number]["value"];

export default function Runs(): ReactNode {
  const [params, change] = useAddress();
  const tab = TABS.find((one) => one.value === params.get("tab"))?.value ?? "jobs";
  return (
    <PageBody>
      <Tabs<Tab> label="Part" value={tab} options={TABS} onChange={(next) => change({ tab: next, run: null, baseline: null })} />
      {tab === "jobs" && <Jobs />}
      {tab === "evaluations" && <Evaluations />}
      {tab === "calls" && <Calls />}
      {tab === "caches" && <Caches />}
    </PageBody>
  );
}

/** PromQL's way to write the length of the page's range. */
function useSpan(): string {
  const { range } = useRange();
  return useMemo(() => {
    const relative = /^(?:now)?-(\d+)([smhdw])$/.exec(range.start);
    if (relative && range.end === "now") return `${relative[1]}${relative[2]}`;
    const seconds = Math.max(60, Math.round((Date.parse(range.end === "now" ? new Date().toISOString() : range.end) - Date.parse(range.start)) / 1000));
    return Number.isFinite(seconds) ? `${seconds}s` : "1h";
  }, [range]);
}

const CALLS = ["Cost per hour", "Tokens", "Calls", "Failed calls", "Call latency p95", "Time to first token p95"];

function llmCharts(titles: readonly string[]) {
  const charts = BOARDS.find((board) => board.name === "llm")!.charts;
  return titles.flatMap((title) => charts.filter((chart) => chart.title === title));
}

function Charts({ titles }: { titles: readonly string[] }): ReactNode {
  return (
    <div className="grid gap-3 lg:grid-cols-2">
      {llmCharts(titles).map((chart) => (
        <Panel key={chart.title} title={chart.title}>
          <ExpressionChart title={chart.title} expr={chart.expr} unit={chart.unit} legend={chart.legend} height={150} />
        </Panel>
      ))}
    </div>
  );
}

/** What models were called for, and what it cost, over the page's range. */
function Calls(): ReactNode {
  const span = useSpan();
  const names = useNames();
  const calls = useInstant(`sum by (model, outcome) (increase(llm_requests_total[${span}]))`);
  const tokens = useInstant(`sum by (model, type) (increase(llm_tokens_total[${span}]))`);
  const cost = useInstant(`sum by (model) (increase(llm_cost_usd_total[${span}]))`);
  if (names.isPending) return <Waiting lines={6} />;
  if (names.error && !names.data) return <Failure error={names.error} onRetry={() => void names.refetch()} />;
  if (!names.data?.includes("llm_requests_total")) {
    return (
      <Empty title="No model has been called yet">
        <Snippet text={'from monitoring import llm\n\nwith llm.call("gpt-4.1-mini", provider="openai") as call:\n    answer = client.chat.completions.create(…)\n    call.usage(input_tokens=answer.usage.prompt_tokens, output_tokens=answer.usage.completion_tokens)'} label="Tell of calls" />
      </Empty>
    );
  }
  const value = (list: typeof calls.data, labels: Record<string, string>) =>
    (list ?? []).filter((series) => Object.entries(labels).every(([name, wanted]) => series.labels[name] === wanted)).reduce((sum, series) => sum + (series.points.at(-1)?.[1] ?? 0), 0);
  const models = [...new Set((calls.data ?? []).map((series) => series.labels.model ?? ""))].sort((a, b) => value(cost.data, { model: b }) - value(cost.data, { model: a }));
  const total = value(cost.data, {});
  return (
    <>
      <Figures>
        <Figure name="Cost" value={dollars(total)} note="in this range" />
        <Figure name="Calls" value={count(Math.round(value(calls.data, {})))} note={`${models.length} models`} />
        <Figure name="Tokens in" value={count(Math.round(value(tokens.data, { type: "input" })))} note={`${percent(value(tokens.data, { type: "cached" }) / (value(tokens.data, { type: "input" }) || 1))} from a cache`} />
        <Figure name="Tokens out" value={count(Math.round(value(tokens.data, { type: "output" })))} note={`${dollars(total / (value(calls.data, {}) || 1))} a call`} />
      </Figures>
      <Panel title="By model" flush>
        <Table
          label="By model"
          rows={models}
          rowKey={(model) => model}
          columns={[
            { name: "model", cell: (model) => <span className="font-medium">{model}</span> },
            { name: "calls", cell: (model) => count(Math.round(value(calls.data, { model }))), right: true },
            { name: "failed", cell: (model) => <Failed failed={value(calls.data, { model, outcome: "failed" })} all={value(calls.data, { model })} />, right: true },
            { name: "tokens in", cell: (model) => count(Math.round(value(tokens.data, { model, type: "input" }))), right: true, wide: true },
            { name: "tokens out", cell: (model) => count(Math.round(value(tokens.data, { model, type: "output" }))), right: true, wide: true },
            { name: "cost", cell: (model) => dollars(value(cost.data, { model })), right: true },
            { name: "of all", cell: (model) => (total ? percent(value(cost.data, { model }) / total) : "–"), right: true, wide: true },
          ]}
        />
      </Panel>
      <Charts titles={CALLS} />
    </>
  );
}

function Failed({ failed, all }: { failed: number; all: number }): ReactNode {
  if (Math.round(failed) === 0) return "0";
  const words = `${count(Math.round(failed))} (${percent(failed / all)})`;
  return failed / all < 0.01 ? words : <Badge tone={failed / all > 0.1 ? "bad" : "warn"}>{words}</Badge>;
}

/** How well caches do. */
function Caches(): ReactNode {
  const span = useSpan();
  const requests = useInstant(`sum by (cache, result) (increase(llm_cache_requests_total[${span}]))`);
  const saved = useInstant(`sum by (cache) (increase(llm_cache_saved_seconds_total[${span}]))`);
  const entries = useInstant("sum by (cache) (llm_cache_entries)");
  const capacity = useInstant("sum by (cache) (llm_cache_capacity_entries)");
  const evictions = useInstant(`sum by (cache) (increase(llm_cache_evictions_total[${span}]))`);
  if (requests.isPending) return <Waiting lines={6} />;
  if (!requests.data) return requests.error && <Failure error={requests.error} onRetry={() => void requests.refetch()} />;
  const caches = [...new Set(requests.data.map((series) => series.labels.cache ?? ""))].sort();
  if (caches.length === 0) {
    return (
      <Empty title="No cache was looked into in this range">
        <Snippet text={'from monitoring import llm\n\ncache = llm.cache("prompts", capacity=1000)\nanswer = cache.lookup(known, prompt, lambda: ask(prompt))'} label="Watch a cache" />
      </Empty>
    );
  }
  const last = (list: typeof requests.data | undefined, cache: string, result?: string) =>
    (list ?? []).filter((series) => series.labels.cache === cache && (result === undefined || series.labels.result === result)).reduce((sum, series) => sum + (series.points.at(-1)?.[1] ?? 0), 0);
  return (
    <>
      <Panel title="Caches" flush>
        <Table
          label="Caches"
          rows={caches}
          rowKey={(cache) => cache}
          columns={[
            { name: "cache", cell: (cache) => <span className="font-medium">{cache}</span> },
            { name: "look-ups", cell: (cache) => count(Math.round(last(requests.data, cache))), right: true },
            { name: "hits", cell: (cache) => percent(last(requests.data, cache, "hit") / (last(requests.data, cache) || 1)), right: true },
            { name: "saved", cell: (cache) => duration(Math.round(last(saved.data, cache))), right: true },
            { name: "entries", cell: (cache) => `${count(last(entries.data, cache))}${last(capacity.data, cache) ? ` of ${count(last(capacity.data, cache))}` : ""}`, right: true, wide: true },
            { name: "evicted", cell: (cache) => count(Math.round(last(evictions.data, cache))), right: true, wide: true },
          ]}
        />
      </Panel>
      <Charts titles={["Cache hit ratio", "Cache look-ups", "Cache entries", "Time saved by caches"]} />
    </>
  );
}
