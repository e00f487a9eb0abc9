import { useState, type FormEvent, type ReactNode } from "react";
import { useChange } from "../lib/change";
import { useMay } from "../lib/session";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { TextArea, TextField } from "../ui/field";
import { Empty, Failure, Waiting } from "../ui/notice";
import { Badge, Panel } from "../ui/panel";
import { SureButton } from "../ui/sure";
import { Table } from "../ui/table";
import { lines, useWindows, type Window } from "./data";
import { MATCHERS } from "./silences";

const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
const WORKDAYS = DAYS.slice(0, 5);

/** The days of a window in words. */
export function daysInWords(days: readonly string[]): string {
  if (days.length === 7) return "every day";
  if (days.length === 5 && WORKDAYS.every((day) => days.includes(day))) return "mon to fri";
  return DAYS.filter((day) => days.includes(day)).join(", ");
}

/** Times that come again in which nobody is told. */
export function Windows(): ReactNode {
  const { data, error, isPending, refetch } = useWindows();
  const may = useMay("operator");
  const [edited, setEdited] = useState<{ window: Window | null } | null>(null);
  const all = data?.maintenance_windows ?? [];
  return (
    <Panel
      flush
      title="Maintenance windows"
      actions={
        may && (
          <Button small look="main" icon="plus" onClick={() => setEdited({ window: null })}>
            New window
          </Button>
        )
      }
    >
      {isPending && <Waiting />}
      {error !== null && <Failure error={error} onRetry={() => void refetch()} />}
      {data && all.length === 0 && <Empty title="No maintenance window">A window silences alerts again and again, such as every Sunday at 02:00 for two hours.</Empty>}
      {all.length > 0 && (
        <Table
          label="Maintenance windows"
          rows={all}
          rowKey={(one) => one.name}
          columns={[
            { name: "window", cell: (one) => <span className="font-medium">{one.name}</span> },
            { name: "alerts with", cell: (one) => <span className="font-mono wrap-anywhere">{one.matchers.join(" ")}</span> },
            { name: "state", cell: (one) => <Badge tone={one.active ? "warn" : one.enabled ? "accent" : "plain"}>{one.active ? "in force" : one.enabled ? "waits" : "off"}</Badge> },
            { name: "when", cell: (one) => `${daysInWords(one.days)}, ${one.start} for ${one.duration}, ${one.time_zone}` },
            { name: "reason", cell: (one) => one.reason, wide: true },
            { name: "by", cell: (one) => one.author, wide: true },
            {
              name: "",
              right: true,
              cell: (one) =>
                may && (
                  <Button small onClick={() => setEdited({ window: one })}>
                    Edit
                  </Button>
                ),
            },
          ]}
        />
      )}
      {edited && <WindowEditor window={edited.window} onClose={() => setEdited(null)} />}
    </Panel>
  );
}

function WindowEditor({ window: given, onClose }: { window: Window | null; onClose: () => void }): ReactNode {
  const { busy, error, run } = useChange("alerts");
  const [name, setName] = useState(given?.name ?? "");
  const [matchers, setMatchers] = useState(given?.matchers.join("\n") ?? "");
  const [days, setDays] = useState<string[]>(given?.days ?? [...DAYS]);
  const [start, setStart] = useState(given?.start ?? "02:00");
  const [duration, setDuration] = useState(given?.duration ?? "2h");
  const [zone, setZone] = useState(given?.time_zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone);
  const [from, setFrom] = useState(given?.from ?? "");
  const [until, setUntil] = useState(given?.until ?? "");
  const [reason, setReason] = useState(given?.reason ?? "");
  const [enabled, setEnabled] = useState(given?.enabled ?? true);
  const path = `/api/v1/maintenance-windows/${encodeURIComponent(name.trim())}`;
  const save = async (event: FormEvent) => {
    event.preventDefault();
    const body = { matchers: lines(matchers), days, start, duration, time_zone: zone, ...(from && { from }), ...(until && { until }), reason, enabled };
    if ((await run("PUT", path, body)) !== undefined) onClose();
  };
  const remove = async () => {
    if ((await run("DELETE", path)) !== undefined) onClose();
  };
  return (
    <Dialog title={given?.name ?? "New maintenance window"} onClose={onClose}>
      <form onSubmit={(event) => void save(event)} className="flex flex-col gap-3">
        <TextField label="Name" value={name} onChange={(event) => setName(event.target.value)} readOnly={given !== null} required placeholder="nightly backup" />
        <TextArea {...MATCHERS} value={matchers} onChange={(event) => setMatchers(event.target.value)} required />
        <fieldset>
          <legend className="mb-1 text-2xs font-semibold text-soft">On</legend>
          <div className="flex flex-wrap gap-x-3 gap-y-1">
            {DAYS.map((day) => (
              <label key={day} className="flex h-7 items-center gap-1">
                <input type="checkbox" checked={days.includes(day)} onChange={(event) => setDays(event.target.checked ? [...days, day] : days.filter((one) => one !== day))} />
                {day}
              </label>
            ))}
          </div>
        </fieldset>
        <div className="grid grid-cols-2 gap-3 sm:grid-cols-3">
          <TextField label="Begins at" type="time" value={start} onChange={(event) => setStart(event.target.value)} required />
          <TextField label="Lasts" hint="Like 90m or 2h" value={duration} onChange={(event) => setDuration(event.target.value)} required />
          <TextField label="By the clocks of" list="time-zones" value={zone} onChange={(event) => setZone(event.target.value)} required />
          <datalist id="time-zones">
            {["UTC", ...Intl.supportedValuesOf("timeZone")].map((one) => (
              <option key={one} value={one} />
            ))}
          </datalist>
          <TextField label="First date" hint="Empty: at once" type="date" value={from} onChange={(event) => setFrom(event.target.value)} />
          <TextField label="Last date" hint="Empty: for ever" type="date" value={until} onChange={(event) => setUntil(event.target.value)} />
        </div>
        <TextField label="Reason" value={reason} onChange={(event) => setReason(event.target.value)} />
        <label className="flex items-center gap-2">
          <input type="checkbox" checked={enabled} onChange={(event) => setEnabled(event.target.checked)} /> It is on
        </label>
        {error !== null && <Failure error={error} />}
        <div className="flex flex-wrap gap-2">
          <Button type="submit" look="main" disabled={busy || days.length === 0}>
            Save
          </Button>
          {given && (
            <SureButton question="Remove it for good?" disabled={busy} onSure={() => void remove()}>
              Remove
            </SureButton>
          )}
        </div>
      </form>
    </Dialog>
  );
}
