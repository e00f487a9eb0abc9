import { useState, type FormEvent, type ReactNode } from "react";
import { serverNow } from "../lib/client";
import { useChange } from "../lib/change";
import { useMay } from "../lib/session";
import { ago, formatFull } from "../lib/time";
import { useRange } from "../lib/url";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Choice, TextArea, TextField } from "../ui/field";
import { Empty, Failure, Waiting } from "../ui/notice";
import { Badge, Panel } from "../ui/panel";
import { Table } from "../ui/table";
import { endOf, LENGTHS } from "./act";
import { lines, useSilences, type Silence } from "./data";

const TONES = { active: "warn", pending: "accent", expired: "plain" } as const;

/** Of whom nobody is told, until when and why. */
export function Silences(): ReactNode {
  const { data, error, isPending, refetch } = useSilences();
  const { zone } = useRange();
  const may = useMay("operator");
  const { error: refused, run } = useChange("alerts");
  const [edited, setEdited] = useState<{ silence: Silence | null } | null>(null);
  return (
    <Panel
      flush
      title="Silences"
      actions={
        may && (
          <Button small look="main" icon="plus" onClick={() => setEdited({ silence: null })}>
            New silence
          </Button>
        )
      }
    >
      {isPending && <Waiting />}
      {(error ?? refused) !== null && <Failure error={error ?? refused} onRetry={() => void refetch()} />}
      {data?.silences.length === 0 && <Empty title="Nothing is silenced">A silence keeps alerts quiet until a moment; they are evaluated and listed all the same.</Empty>}
      {data && data.silences.length > 0 && (
        <Table
          label="Silences"
          rows={data.silences}
          rowKey={(one) => one.id}
          columns={[
            { name: "alerts with", cell: (one) => <span className="font-mono wrap-anywhere">{one.matchers.join(" ")}</span> },
            { name: "state", cell: (one) => <Badge tone={TONES[one.state]}>{one.state}</Badge> },
            { name: "until", cell: (one) => <span title={formatFull(one.ends_at, zone)}>{ago(one.ends_at, serverNow())}</span> },
            { name: "reason", cell: (one) => one.reason },
            { name: "by", cell: (one) => one.author, wide: true },
            {
              name: "",
              right: true,
              cell: (one) =>
                may &&
                one.state !== "expired" && (
                  <span className="inline-flex gap-1">
                    <Button small onClick={() => setEdited({ silence: one })}>
                      Edit
                    </Button>
                    <Button small onClick={() => void run("DELETE", `/api/v1/silences/${encodeURIComponent(one.id)}`)}>
                      End it
                    </Button>
                  </span>
                ),
            },
          ]}
        />
      )}
      {edited && <SilenceEditor silence={edited.silence} onClose={() => setEdited(null)} />}
    </Panel>
  );
}

/** How matchers are asked for, wherever they are. */
export const MATCHERS = {
  label: "Alerts that match all of these",
  hint: "One a line: name=value, name!=value, name=~regular expression",
  rows: 3,
  className: "font-mono text-xs",
  placeholder: "service=api\nhost=~web-.*",
} as const;

function SilenceEditor({ silence, onClose }: { silence: Silence | null; onClose: () => void }): ReactNode {
  const { busy, error, run } = useChange("alerts");
  const [matchers, setMatchers] = useState(silence?.matchers.join("\n") ?? "");
  const [length, setLength] = useState(silence ? "" : "2h");
  const [reason, setReason] = useState(silence?.reason ?? "");
  const { zone } = useRange();
  const kept = silence ? ([["", `as it is: ${formatFull(silence.ends_at, zone).slice(0, 16)}`]] as const) : [];
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const body = { matchers: lines(matchers), reason, ...(length && { ends_at: endOf(length, serverNow()) }) };
    const done = silence ? await run("PUT", `/api/v1/silences/${encodeURIComponent(silence.id)}`, body) : await run("POST", "/api/v1/silences", body);
    if (done !== undefined) onClose();
  };
  return (
    <Dialog title={silence ? "Change the silence" : "New silence"} onClose={onClose}>
      <form onSubmit={(event) => void submit(event)} className="flex flex-col gap-3">
        <TextArea {...MATCHERS} value={matchers} onChange={(event) => setMatchers(event.target.value)} required />
        <Choice label={silence ? "From now for" : "For"} options={[...kept, ...LENGTHS]} value={length} onChange={(event) => setLength(event.target.value)} />
        <TextField label="Reason" value={reason} onChange={(event) => setReason(event.target.value)} required />
        {error !== null && <Failure error={error} />}
        <Button type="submit" look="main" disabled={busy}>
          {silence ? "Save" : "Silence"}
        </Button>
      </form>
    </Dialog>
  );
}
