import { useState, type FormEvent, type ReactNode } from "react";
import { serverNow } from "../lib/client";
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
import { useChange, useSilences } from "./data";

const TONES = { active: "warn", pending: "accent", expired: "plain" } as const;

/** Of whom nobody is told, until when and why. */
export function Silences(): ReactNode {
  const { data, error, isPending, refetch } = useSilences();
  const { zone } = useRange();
  const may = useMay("operator");
  const { error: refused, run } = useChange();
  const [making, setMaking] = useState(false);
  return (
    <Panel
      flush
      title="Silences"
      actions={
        may && (
          <Button small look="main" icon="plus" onClick={() => setMaking(true)}>
            New silence
          </Button>
        )
      }
    >
      {isPending && <Waiting />}
      {(error ?? refused) !== null && <Failure error={error ?? refused} onRetry={() => void refetch()} />}
      {data?.silences.length === 0 && <Empty title="Nothing is silenced" />}
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
                  <Button small onClick={() => void run("DELETE", `/api/v1/silences/${encodeURIComponent(one.id)}`)}>
                    End it
                  </Button>
                ),
            },
          ]}
        />
      )}
      {making && <NewSilence onClose={() => setMaking(false)} />}
    </Panel>
  );
}

function NewSilence({ onClose }: { onClose: () => void }): ReactNode {
  const { busy, error, run } = useChange();
  const [matchers, setMatchers] = useState("");
  const [length, setLength] = useState("2h");
  const [reason, setReason] = useState("");
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const body = { matchers: matchers.split("\n").map((one) => one.trim()).filter(Boolean), ends_at: endOf(length, serverNow()), reason };
    if ((await run("POST", "/api/v1/silences", body)) !== undefined) onClose();
  };
  return (
    <Dialog title="New silence" onClose={onClose}>
      <form onSubmit={(event) => void submit(event)} className="flex flex-col gap-3">
        <TextArea label="Alerts that match all of these" hint="One a line: name=value, name!=value, name=~regular expression" rows={3} className="font-mono text-xs" placeholder={"service=api\nhost=~web-.*"} value={matchers} onChange={(event) => setMatchers(event.target.value)} required />
        <Choice label="For" options={LENGTHS} value={length} onChange={(event) => setLength(event.target.value)} />
        <TextField label="Reason" value={reason} onChange={(event) => setReason(event.target.value)} required />
        {error !== null && <Failure error={error} />}
        <Button type="submit" look="main" disabled={busy}>
          Silence
        </Button>
      </form>
    </Dialog>
  );
}
