import { useState, type FormEvent, type ReactNode } from "react";
import { ExpressionChart } from "../explore/chart";
import { ExpressionBox } from "../explore/expression";
import { Histogram } from "../logs/histogram";
import { useHistogram } from "../logs/data";
import { SearchBox } from "../logs/searchbox";
import { ApiError, serverNow } from "../lib/client";
import { count, unitOf } from "../lib/format";
import { formatFull } from "../lib/time";
import { useRange } from "../lib/url";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Choice, TextArea, TextField } from "../ui/field";
import { Failure } from "../ui/notice";
import { ruleBody, useChange, useChannels, type Backtest, type Rule, type Severity } from "./data";

const KINDS = [
  ["metric", "a metric passes a value"],
  ["logs", "lines are too many, or too few"],
  ["heartbeat", "a service or host falls silent"],
] as const;
const SEVERITIES = ["info", "warning", "critical"].map((one) => [one, one] as const);
const OPERATORS = [">", ">=", "<", "<=", "==", "!="].map((one) => [one, one] as const);
const NO_DATA = [
  ["ok", "is fine"],
  ["alert", "is an alert"],
  ["keep", "changes nothing"],
] as const;
const SPANS = [
  ["-6h", "6 hours"],
  ["-1d", "1 day"],
  ["-7d", "7 days"],
] as const;
const DAY = { start: "-24h", end: "now" };

/** A rule, what it would see, and when it would have fired. */
export function RuleEditor({ rule: given, fresh, may, onClose }: { rule: Rule; fresh: boolean; may: boolean; onClose: () => void }): ReactNode {
  const [rule, setRule] = useState<Rule>(given);
  const { busy, error, run } = useChange();
  const channels = useChannels();
  const set = (patch: Partial<Rule>) => setRule((before) => ({ ...before, ...patch }));
  const note = (name: string, text: string) => set({ annotations: { ...rule.annotations, [name]: text } });
  const problem = (field: string) => (error instanceof ApiError && error.field === field ? `${error.message}${error.fix ? `: ${error.fix}` : ""}` : undefined);
  const number = (text: string) => (text.trim() === "" ? null : Number(text));
  const save = async (event: FormEvent) => {
    event.preventDefault();
    const done = fresh ? await run("POST", "/api/v1/rules", ruleBody(rule)) : await run("PUT", `/api/v1/rules/${encodeURIComponent(given.name)}`, ruleBody(rule));
    if (done !== undefined) onClose();
  };
  const remove = async () => {
    if ((await run("DELETE", `/api/v1/rules/${encodeURIComponent(given.name)}`)) !== undefined) onClose();
  };
  const counted = rule.kind !== "heartbeat";
  return (
    <Dialog wide title={fresh ? "New rule" : given.name} onClose={onClose}>
      <form onSubmit={(event) => void save(event)} className="flex flex-col gap-3">
        {given.read_only && <p className="rounded-lg bg-raised px-3 py-2">This rule stands in {given.file ?? "a file"} and is changed there.</p>}
        <fieldset disabled={!may} className="flex flex-col gap-3">
          <div className="grid gap-3 sm:grid-cols-3">
            <TextField label="Name" value={rule.name} onChange={(event) => set({ name: event.target.value })} problem={problem("name")} required readOnly={!fresh} />
            <Choice label="When" options={KINDS} value={rule.kind} disabled={!fresh} onChange={(event) => set({ kind: event.target.value as Rule["kind"] })} />
            <Choice label="Severity" options={SEVERITIES} value={rule.severity} onChange={(event) => set({ severity: event.target.value as Severity })} />
          </div>
          {rule.kind === "metric" ? (
            <ExpressionBox label="Expression" value={rule.expr ?? ""} wrong={problem("expr") ?? null} onSubmit={(expr) => set({ expr })} />
          ) : (
            <SearchBox query={rule.query ?? ""} range={DAY} attributes={[]} error={error} onSearch={(query) => set({ query })} />
          )}
          <div className="grid grid-cols-2 gap-3 sm:grid-cols-4">
            {counted && <Choice label="Is" options={OPERATORS} value={rule.operator ?? ">="} onChange={(event) => set({ operator: event.target.value })} />}
            {counted && <TextField label="Threshold" inputMode="decimal" value={rule.threshold ?? ""} onChange={(event) => set({ threshold: number(event.target.value) })} problem={problem("threshold")} />}
            {counted && <TextField label="Ends at" hint="Empty: at the threshold" inputMode="decimal" value={rule.recovery ?? ""} onChange={(event) => set({ recovery: number(event.target.value) })} problem={problem("recovery")} />}
            {rule.kind !== "metric" && <TextField label="Window" hint="Like 5m" value={rule.window ?? "5m"} onChange={(event) => set({ window: event.target.value })} problem={problem("window")} />}
            {rule.kind !== "metric" && <TextField label="For each" hint="Fields, like service" value={rule.group_by?.join(", ") ?? ""} onChange={(event) => set({ group_by: event.target.value.split(",").map((one) => one.trim()).filter(Boolean) })} problem={problem("group_by")} />}
            <TextField label="For" hint="How long before it fires" value={rule.for ?? "0s"} onChange={(event) => set({ for: event.target.value })} problem={problem("for")} />
            <TextField label="Every" hint="How often it is looked at" value={rule.interval ?? "60s"} onChange={(event) => set({ interval: event.target.value })} problem={problem("interval")} />
            {rule.kind === "metric" && <Choice label="No data" options={NO_DATA} value={rule.no_data ?? "ok"} onChange={(event) => set({ no_data: event.target.value })} />}
          </div>
          <div className="grid gap-3 sm:grid-cols-2">
            <TextField label="Summary" hint="{{ labels.host }}, {{ value }} are filled in" value={rule.annotations?.summary ?? ""} onChange={(event) => note("summary", event.target.value)} problem={problem("annotations")} />
            <TextField label="Runbook" hint="An address" value={rule.annotations?.runbook ?? ""} onChange={(event) => note("runbook", event.target.value)} />
          </div>
          <TextArea label="Description" rows={2} value={rule.annotations?.description ?? ""} onChange={(event) => note("description", event.target.value)} />
          <div role="group" aria-label="Channels" className="flex flex-wrap items-center gap-3">
            <span className="text-2xs font-semibold text-soft">Tell</span>
            {channels.data?.channels.map((channel) => (
              <label key={channel.name} className="flex items-center gap-1.5">
                <input type="checkbox" checked={rule.channels?.includes(channel.name) ?? false} onChange={(event) => set({ channels: event.target.checked ? [...(rule.channels ?? []), channel.name] : rule.channels?.filter((one) => one !== channel.name) })} />
                {channel.name}
              </label>
            ))}
            <span className="text-2xs text-soft">none chosen: the default channels</span>
          </div>
        </fieldset>
        <Preview rule={rule} />
        <Backtested rule={rule} />
        {error !== null && <Failure error={error} />}
        {may && (
          <div className="flex flex-wrap gap-2">
            <Button look="main" type="submit" disabled={busy}>
              {fresh ? "Add the rule" : "Save"}
            </Button>
            {!fresh && (
              <Button look="bad" icon="trash" disabled={busy} onClick={() => void remove()}>
                Remove
              </Button>
            )}
          </div>
        )}
      </form>
    </Dialog>
  );
}

/** What the rule looks at, over the last day. */
function Preview({ rule }: { rule: Rule }): ReactNode {
  if (rule.kind === "metric") {
    return rule.expr ? (
      <div className="rounded-lg border border-line p-2">
        <ExpressionChart title={rule.expr} expr={rule.expr} unit={unitOf(rule.expr)} threshold={rule.threshold ?? null} height={140} />
      </div>
    ) : null;
  }
  return <LogPreview query={rule.query ?? ""} />;
}

function LogPreview({ query }: { query: string }): ReactNode {
  const { zone } = useRange();
  const { data } = useHistogram({ query, range: DAY }, 96);
  if (!data) return null;
  return (
    <div className="rounded-lg border border-line p-2">
      <p className="mb-1 text-2xs text-soft">{count(data.buckets.reduce((sum, one) => sum + one.total, 0))} lines match in the last day</p>
      <Histogram answer={data} zone={zone} now={serverNow()} onZoom={() => undefined} height="h-16" />
    </div>
  );
}

/** When the rule would have fired over what is stored. */
function Backtested({ rule }: { rule: Rule }): ReactNode {
  const [since, setSince] = useState("-1d");
  const [found, setFound] = useState<Backtest | null>(null);
  const { busy, error, run } = useChange();
  const { zone } = useRange();
  const test = async () => {
    setFound(null);
    const answer = await run<Backtest>("POST", "/api/v1/rules/test", { rule: { ...ruleBody(rule), name: rule.name || "tried" }, since });
    if (answer) setFound(answer);
  };
  return (
    <div className="flex flex-col gap-2 rounded-lg border border-line p-3">
      <div className="flex flex-wrap items-end gap-2">
        <div className="w-36">
          <Choice label="Would it have fired in the last" options={SPANS} value={since} onChange={(event) => setSince(event.target.value)} />
        </div>
        <Button disabled={busy} onClick={() => void test()}>
          {busy ? "Looking…" : "Test it"}
        </Button>
      </div>
      {error !== null && <Failure error={error} />}
      {found && (
        <div role="status">
          <p className="font-semibold">
            {found.fired === 0 ? "It would not have fired" : `It would have fired ${found.fired === 1 ? "once" : `${count(found.fired)} times`}`} <span className="font-normal text-soft">in {count(found.evaluations)} looks</span>
          </p>
          <ul className="max-h-40 overflow-auto text-xs">
            {found.firings.map((one, at) => (
              <li key={at} className="flex flex-wrap gap-x-3">
                <span className="tabular-nums">{formatFull(one.active_at, zone).slice(0, 19)}</span>
                <span className="text-soft">{one.resolved_at ? `until ${formatFull(one.resolved_at, zone).slice(11, 19)}` : "still"}</span>
                <span>{Object.entries(one.labels).map(([name, value]) => `${name}=${value}`).join(" ")}</span>
                {one.peak !== null && <span className="text-soft">peak {count(one.peak)}</span>}
              </li>
            ))}
          </ul>
          {found.notes.map((note) => (
            <p key={note} className="text-2xs text-soft">
              {note}
            </p>
          ))}
        </div>
      )}
    </div>
  );
}
