import { useState, type FormEvent, type ReactNode } from "react";
import { useChange } from "../lib/change";
import { ExpressionChart } from "../explore/chart";
import { ExpressionBox } from "../explore/expression";
import { DAY, LogPreview } from "../logs/preview";
import { SearchBox } from "../logs/searchbox";
import { ApiError } from "../lib/client";
import { unitOf } from "../lib/format";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Choice, TextArea, TextField } from "../ui/field";
import { Failure } from "../ui/notice";
import { SureButton } from "../ui/sure";
import { Backtested } from "./backtest";
import { ruleBody, useChannels, useRules, type Rule, type Severity } from "./data";
import { ChannelChoice, Escalation, Inhibition, RuleLabels } from "./quiet";

const KINDS = [
  ["metric", "a metric passes a value"],
  ["logs", "lines are too many, or too few"],
  ["heartbeat", "a service or host falls silent"],
] as const;
const BUILT_IN: Partial<Record<Rule["kind"], string>> = {
  delivery: "notifications cannot be delivered",
  status: "the product itself is in trouble",
};
const SEVERITIES = ["info", "warning", "critical"].map((one) => [one, one] as const);
const OPERATORS = [">", ">=", "<", "<=", "==", "!="].map((one) => [one, one] as const);
const NO_DATA = [
  ["ok", "is fine"],
  ["alert", "is an alert"],
  ["keep", "changes nothing"],
] as const;
const CONDITIONS = [
  ["threshold", "their number passes a value"],
  ["zero", "none comes"],
  ["new_pattern", "a new kind of message comes"],
] as const;

/** A rule, what it would see, and when it would have fired. */
export function RuleEditor({ rule: given, fresh, may, onClose }: { rule: Rule; fresh: boolean; may: boolean; onClose: () => void }): ReactNode {
  const [rule, setRule] = useState<Rule>(given);
  const { busy, error, run } = useChange("alerts");
  const channels = useChannels();
  const rules = useRules();
  const set = (patch: Partial<Rule>) => setRule((before) => ({ ...before, ...patch }));
  const note = (name: string, text: string) => set({ annotations: { ...rule.annotations, [name]: text } });
  const problem = (field: string) => (error instanceof ApiError && error.field.replace(/[[.].*/, "") === field ? `${error.message}${error.fix ? `: ${error.fix}` : ""}` : undefined);
  const number = (text: string) => (text.trim() === "" ? null : Number(text));
  const save = async (event: FormEvent) => {
    event.preventDefault();
    const done = fresh ? await run("POST", "/api/v1/rules", ruleBody(rule)) : await run("PUT", `/api/v1/rules/${encodeURIComponent(given.name)}`, ruleBody(rule));
    if (done !== undefined) onClose();
  };
  const remove = async () => {
    if ((await run("DELETE", `/api/v1/rules/${encodeURIComponent(given.name)}`)) !== undefined) onClose();
  };
  const condition = rule.kind === "logs" ? (rule.condition ?? "threshold") : "threshold";
  const counted = rule.kind !== "heartbeat" && rule.kind !== "delivery" && condition === "threshold";
  const builtIn = BUILT_IN[rule.kind];
  const names = channels.data?.channels.map((one) => one.name) ?? [];
  const others = rules.data?.rules.map((one) => one.name).filter((one) => one !== given.name) ?? [];
  const parts = { rule, set, problem, channels: names, rules: others };
  const unusual = (rule.escalation?.length ?? 0) + (rule.inhibited_by?.length ?? 0) + Object.keys(rule.labels ?? {}).length > 0;
  return (
    <Dialog wide title={fresh ? "New rule" : given.name} onClose={onClose}>
      <form onSubmit={(event) => void save(event)} className="flex flex-col gap-3">
        {given.read_only && <p className="rounded-lg bg-raised px-3 py-2">This rule stands in {given.file ?? "a file"} and is changed there.</p>}
        <fieldset disabled={!may} className="flex flex-col gap-3">
          <div className="grid gap-3 sm:grid-cols-3">
            <TextField label="Name" value={rule.name} onChange={(event) => set({ name: event.target.value })} problem={problem("name")} required readOnly={!fresh} />
            <Choice label="When" options={builtIn ? [[rule.kind, builtIn]] : KINDS} value={rule.kind} disabled={!fresh} onChange={(event) => set({ kind: event.target.value as Rule["kind"] })} />
            <Choice label="Severity" options={SEVERITIES} value={rule.severity} onChange={(event) => set({ severity: event.target.value as Severity })} />
          </div>
          {rule.kind === "metric" ? (
            <ExpressionBox label="Expression" value={rule.expr ?? ""} wrong={problem("expr") ?? null} onSubmit={(expr) => set({ expr })} inForm />
          ) : builtIn ? null : (
            <SearchBox query={rule.query ?? ""} range={DAY} attributes={[]} error={error} onSearch={(query) => set({ query })} inForm />
          )}
          <div className="grid grid-cols-2 gap-3 sm:grid-cols-4">
            {rule.kind === "logs" && <Choice label="Alert when" options={CONDITIONS} value={condition} onChange={(event) => set({ condition: event.target.value })} />}
            {counted && <Choice label="Is" options={OPERATORS} value={rule.operator ?? ">="} onChange={(event) => set({ operator: event.target.value })} />}
            {counted && <TextField label="Threshold" inputMode="decimal" value={rule.threshold ?? ""} onChange={(event) => set({ threshold: number(event.target.value) })} problem={problem("threshold")} />}
            {counted && <TextField label="Ends at" hint="Empty: at the threshold" inputMode="decimal" value={rule.recovery ?? ""} onChange={(event) => set({ recovery: number(event.target.value) })} problem={problem("recovery")} />}
            {rule.kind !== "metric" && !builtIn && <TextField label="Window" hint="Like 5m" value={rule.window ?? "5m"} onChange={(event) => set({ window: event.target.value })} problem={problem("window")} />}
            {rule.kind !== "metric" && !builtIn && <TextField label="For each" hint="Fields, like service" value={rule.group_by?.join(", ") ?? ""} onChange={(event) => set({ group_by: event.target.value.split(",").map((one) => one.trim()).filter(Boolean) })} problem={problem("group_by")} />}
            <TextField label="For" hint="How long before it fires" value={rule.for ?? "0s"} onChange={(event) => set({ for: event.target.value })} problem={problem("for")} />
            <TextField label="Every" hint="How often it is looked at" value={rule.interval ?? "60s"} onChange={(event) => set({ interval: event.target.value })} problem={problem("interval")} />
            <TextField label="Cooldown" hint="Not told again sooner" value={rule.cooldown ?? "5m"} onChange={(event) => set({ cooldown: event.target.value })} problem={problem("cooldown")} />
            <TextField label="Lookback" hint="How long a group that has gone is remembered" value={rule.lookback ?? "1d"} onChange={(event) => set({ lookback: event.target.value })} problem={problem("lookback")} />
            {rule.kind === "heartbeat" && <TextField label="Established" hint="How long it must have been there first" value={rule.established ?? "0s"} onChange={(event) => set({ established: event.target.value })} problem={problem("established")} />}
            {rule.kind !== "heartbeat" && <Choice label="No data" options={NO_DATA} value={rule.no_data ?? "ok"} onChange={(event) => set({ no_data: event.target.value })} />}
          </div>
          <div className="grid gap-3 sm:grid-cols-2">
            <TextField label="Summary" hint="{{ labels.host }}, {{ value }} are filled in" value={rule.annotations?.summary ?? ""} onChange={(event) => note("summary", event.target.value)} problem={problem("annotations")} />
            <TextField label="Runbook" hint="An address" value={rule.annotations?.runbook ?? ""} onChange={(event) => note("runbook", event.target.value)} />
          </div>
          <TextArea label="Description" rows={2} value={rule.annotations?.description ?? ""} onChange={(event) => note("description", event.target.value)} />
          <div className="flex flex-wrap items-center gap-x-3">
            <span className="text-2xs font-semibold text-soft">Tell</span>
            <ChannelChoice label="Channels" all={names} chosen={rule.channels ?? []} onChange={(chosen) => set({ channels: chosen })} />
            {names.length > 0 && <span className="text-2xs text-soft">none chosen: the default channels</span>}
          </div>
          <details open={unusual} className="rounded-lg border border-line px-3 py-2">
            <summary className="font-medium">Escalation, inhibition, labels</summary>
            <div className="mt-3 flex flex-col gap-4">
              <Escalation {...parts} />
              <Inhibition {...parts} />
              <RuleLabels {...parts} />
            </div>
          </details>
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
              <SureButton question="Remove it and end its alerts?" disabled={busy} onSure={() => void remove()}>
                Remove
              </SureButton>
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
  if (rule.kind in BUILT_IN) return null;
  return <LogPreview query={rule.query ?? ""} />;
}
