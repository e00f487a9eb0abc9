import { useMemo, type ReactNode } from "react";
import { Link } from "react-router";
import { serverNow } from "../lib/client";
import { count, duration, percent } from "../lib/format";
import { term } from "../lib/query";
import { ago, formatFull } from "../lib/time";
import { useAddress, useRange } from "../lib/url";
import { LineChart } from "../ui/chart";
import { Empty, Failure, Snippet, Waiting } from "../ui/notice";
import { Badge, Panel } from "../ui/panel";
import { Table } from "../ui/table";
import { jobsOf, stepsOf, useJobEvents, useLatestSteps, useSteps, type Job } from "./data";

const TONES: Record<string, "good" | "bad" | "warn" | "accent"> = { running: "accent", succeeded: "good", failed: "bad", cancelled: "warn" };

/** Fine-tuning jobs: how far they are, how their loss goes. */
export function Jobs(): ReactNode {
  const { range, zone } = useRange();
  const [params, change] = useAddress();
  const { data, error, isPending, refetch } = useJobEvents(range);
  const steps = useLatestSteps(range, data !== undefined);
  const jobs = useMemo(() => jobsOf([...(steps.data ?? []), ...(data ?? [])]), [steps.data, data]);
  const chosen = jobs.find((job) => job.runId === params.get("run")) ?? jobs[0];
  if (isPending) return <Waiting lines={6} />;
  if (!data) return error && <Failure error={error} onRetry={() => void refetch()} />;
  if (!chosen) {
    return (
      <Empty title="No fine-tuning job in this range">
        <Snippet text={'from monitoring import llm\n\nwith llm.fine_tuning("support-bot-v3", total_steps=1000) as job:\n    for step in range(1, 1001):\n        job.step(step, loss=train(step))'} label="Tell of a job" />
      </Empty>
    );
  }
  return (
    <>
      <Panel title="Fine-tuning jobs" flush>
        <Table
          label="Fine-tuning jobs"
          rows={jobs}
          rowKey={(job) => job.runId}
          onRow={(job) => change({ run: job.runId })}
          columns={[
            {
              name: "model",
              cell: (job) => (
                <div className="min-w-28">
                  <button type="button" aria-pressed={job === chosen} className={`text-left font-medium whitespace-nowrap ${job === chosen ? "text-accent" : ""}`} onClick={() => change({ run: job.runId })}>
                    {job.model || job.runId}
                  </button>
                  <p className="text-2xs text-soft">{[job.baseModel, job.dataset].filter(Boolean).join(" · ")}</p>
                </div>
              ),
            },
            { name: "state", cell: (job) => <State job={job} />, whole: true },
            { name: "progress", cell: (job) => <Progress job={job} />, whole: true },
            { name: "loss", cell: (job) => (job.metrics.loss === undefined ? "–" : count(job.metrics.loss)), right: true },
            { name: "tokens", cell: (job) => (job.tokens === null ? "–" : count(job.tokens)), right: true, wide: true },
            { name: "took", cell: (job) => (job.durationSeconds === null ? "–" : duration(job.durationSeconds)), right: true, wide: true },
            { name: "began", cell: (job) => <span title={formatFull(job.started, zone)}>{ago(job.started, serverNow())}</span>, right: true },
          ]}
        />
      </Panel>
      <JobDetail job={chosen} />
    </>
  );
}

function State({ job }: { job: Job }): ReactNode {
  return (
    <span className="inline-flex gap-1">
      <Badge tone={TONES[job.outcome] ?? "accent"}>{job.outcome}</Badge>
      {job.nonfinite && <Badge tone="bad" title="A metric was NaN or infinite">NaN</Badge>}
    </span>
  );
}

function Progress({ job }: { job: Job }): ReactNode {
  const share = job.totalSteps ? Math.min(1, job.step / job.totalSteps) : null;
  return (
    <div className="w-36 max-sm:w-full">
      <p className="text-2xs whitespace-nowrap tabular-nums">
        {count(job.step)}
        {job.totalSteps ? ` of ${count(job.totalSteps)}, ${percent(share!)}` : " steps"}
      </p>
      {share !== null && (
        <div className="mt-0.5 h-1.5 overflow-hidden rounded-full bg-raised" role="progressbar" aria-valuenow={Math.round(share * 100)} aria-valuemin={0} aria-valuemax={100} aria-label="Steps done">
          <div className={`h-full ${job.outcome === "failed" ? "bg-bar-bad" : "bg-bar-info"}`} style={{ width: `${share * 100}%` }} />
        </div>
      )}
    </div>
  );
}

function JobDetail({ job }: { job: Job }): ReactNode {
  const { data, error, isPending } = useSteps(job.runId);
  const steps = useMemo(() => stepsOf(data ?? []), [data]);
  const names = useMemo(() => [...new Set(steps.flatMap((one) => Object.keys(one.metrics)))].sort((a, b) => Number(b === "loss") - Number(a === "loss") || a.localeCompare(b)), [steps]);
  const [params, change] = useAddress();
  const smooth = params.get("smooth") === "1";
  const x = useMemo(() => steps.map((one) => one.step), [steps]);
  const to = `/logs?${new URLSearchParams({ query: term("run_id", job.runId), start: "-30d" })}`;
  return (
    <Panel
      title={`${job.model || job.runId} by step`}
      actions={
        <>
          <label className="flex items-center gap-1 text-2xs text-soft">
            <input type="checkbox" checked={smooth} onChange={(event) => change({ smooth: event.target.checked ? "1" : null }, { replace: true })} /> smooth
          </label>
          <Link to={to} className="px-1 text-xs text-accent">
            Its logs
          </Link>
        </>
      }
    >
      {job.error && <p className="mb-2 rounded-lg bg-bad-soft px-3 py-2 font-mono text-xs wrap-anywhere">{job.error}</p>}
      {error && <Failure error={error} />}
      {isPending && <Waiting lines={6} />}
      {data && names.length === 0 && <p className="text-soft">No step has been told yet.</p>}
      <div className="grid gap-4 lg:grid-cols-2">
        {names.slice(0, 8).map((name) => (
          <Metric key={name} name={name} x={x} values={steps.map((one) => one.metrics[name] ?? null)} smooth={smooth} />
        ))}
      </div>
    </Panel>
  );
}

/** One metric over the steps that told it: one that comes every tenth step is a line too; a NaN is a gap. */
function Metric({ name, x, values, smooth }: { name: string; x: number[]; values: (number | null)[]; smooth: boolean }): ReactNode {
  const told = useMemo(() => values.flatMap((value, at) => (value === null ? [] : [at])), [values]);
  const steps = useMemo(() => told.map((at) => x[at]!), [told, x]);
  const lines = useMemo(() => {
    const own = told.map((at) => values[at]!);
    return [{ label: name, values: (smooth ? smoothed(own) : own).map((one) => (one !== null && Number.isFinite(one) ? one : null)) }];
  }, [name, told, values, smooth]);
  return <LineChart label={`${name} by step`} x={steps} lines={lines} unit="count" time={false} height={170} sync="run" />;
}

const WEIGHT = 0.8; // of what was before, as the usual training boards have it

/** Exponentially smoothed; gaps stay gaps. */
export function smoothed(values: readonly (number | null)[]): (number | null)[] {
  let before: number | null = null;
  return values.map((value) => {
    if (value === null || !Number.isFinite(value)) return null;
    before = before === null ? value : before * WEIGHT + value * (1 - WEIGHT);
    return before;
  });
}
