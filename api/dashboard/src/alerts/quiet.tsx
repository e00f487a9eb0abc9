import type { ReactNode } from "react";
import { TextArea, TextField } from "../ui/field";
import { Button } from "../ui/button";
import { lines, type Rule } from "./data";

interface Props {
  rule: Rule;
  set: (patch: Partial<Rule>) => void;
  problem: (field: string) => string | undefined;
  channels: readonly string[];
  rules: readonly string[];
}

/** Channels to choose from; those of them that are not there any more stay chosen until somebody takes them away. */
export function ChannelChoice({ all, chosen, onChange, label }: { all: readonly string[]; chosen: readonly string[]; onChange: (chosen: string[]) => void; label: string }): ReactNode {
  const shown = [...new Set([...all, ...chosen])];
  return (
    <div role="group" aria-label={label} className="flex flex-wrap items-center gap-x-3 gap-y-1">
      {shown.map((name) => (
        <label key={name} className="flex h-8 items-center gap-1.5">
          <input type="checkbox" checked={chosen.includes(name)} onChange={(event) => onChange(event.target.checked ? [...chosen, name] : chosen.filter((one) => one !== name))} />
          {name}
        </label>
      ))}
      {shown.length === 0 && <span className="text-2xs text-soft">There is no channel yet.</span>}
    </div>
  );
}

/** Who is told as well where nobody takes care of it. */
export function Escalation({ rule, set, problem, channels }: Props): ReactNode {
  const steps = rule.escalation ?? [];
  const change = (at: number, patch: Partial<(typeof steps)[number]>) => set({ escalation: steps.map((step, index) => (index === at ? { ...step, ...patch } : step)) });
  return (
    <fieldset className="flex flex-col gap-2">
      <legend className="mb-1 text-2xs font-semibold text-soft">Escalation: who is told as well while nobody acknowledges</legend>
      {steps.map((step, at) => (
        <div key={at} className="flex flex-wrap items-end gap-3">
          <div className="w-24">
            <TextField label={`After, step ${at + 1}`} placeholder="15m" value={step.after} onChange={(event) => change(at, { after: event.target.value })} required />
          </div>
          <ChannelChoice label={`Told in step ${at + 1}`} all={channels} chosen={step.channels} onChange={(chosen) => change(at, { channels: chosen })} />
          <Button look="quiet" icon="trash" title={`Remove step ${at + 1}`} onClick={() => set({ escalation: steps.filter((_, index) => index !== at) })} />
        </div>
      ))}
      {problem("escalation") && <p className="text-2xs text-bad">{problem("escalation")}</p>}
      <div>
        <Button small icon="plus" onClick={() => set({ escalation: [...steps, { after: "", channels: [] }] })}>
          Step of escalation
        </Button>
      </div>
    </fieldset>
  );
}

/** Which other alerts explain this one, so that nobody need be told of it too. */
export function Inhibition({ rule, set, problem, rules }: Props): ReactNode {
  const all = rule.inhibited_by ?? [];
  const change = (at: number, patch: Partial<(typeof all)[number]>) => set({ inhibited_by: all.map((one, index) => (index === at ? { ...one, ...patch } : one)) });
  return (
    <fieldset className="flex flex-col gap-2">
      <legend className="mb-1 text-2xs font-semibold text-soft">Inhibition: nobody is told while another rule has an active alert</legend>
      {all.map((one, at) => (
        <div key={at} className="flex flex-wrap items-end gap-3">
          <label className="min-w-40 flex-1">
            <span className="mb-1 block text-2xs font-semibold text-soft">Quiet while this rule fires</span>
            <select aria-label={`Quiet while this rule fires, ${at + 1}`} value={one.rule} onChange={(event) => change(at, { rule: event.target.value })} className="h-8 w-full rounded-md border border-line bg-panel px-2">
              {[...new Set([one.rule, ...rules])].map((name) => (
                <option key={name} value={name}>
                  {name || "choose a rule"}
                </option>
              ))}
            </select>
          </label>
          <div className="min-w-40 flex-1">
            <TextField label="With the same" placeholder="host, service" value={one.equal.join(", ")} onChange={(event) => change(at, { equal: event.target.value.split(",").map((name) => name.trim()) })} />
          </div>
          <Button look="quiet" icon="trash" title={`Remove inhibition ${at + 1}`} onClick={() => set({ inhibited_by: all.filter((_, index) => index !== at) })} />
        </div>
      ))}
      {problem("inhibited_by") && <p className="text-2xs text-bad">{problem("inhibited_by")}</p>}
      <div>
        <Button small icon="plus" onClick={() => set({ inhibited_by: [...all, { rule: "", equal: [] }] })}>
          Inhibition
        </Button>
      </div>
    </fieldset>
  );
}

/** Labels of every alert of the rule, one a line. */
export function RuleLabels({ rule, set, problem }: Props): ReactNode {
  const text = Object.entries(rule.labels ?? {})
    .map(([name, value]) => `${name}=${value}`)
    .join("\n");
  const read = (written: string) =>
    Object.fromEntries(
      lines(written).map((line) => {
        const [name = "", ...value] = line.split("=");
        return [name.trim(), value.join("=").trim()];
      }),
    );
  return <TextArea key={rule.name} label="Labels" hint="Added to every alert, one a line: team=search" rows={2} className="font-mono text-xs" defaultValue={text} onChange={(event) => set({ labels: read(event.target.value) })} problem={problem("labels")} />;
}
