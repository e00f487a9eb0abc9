import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { change as ask, get, serverNow } from "../lib/client";
import { bytes, count, several } from "../lib/format";
import { useRefreshInterval } from "../lib/preferences";
import { ago, formatFull } from "../lib/time";
import { useAddress, useRange } from "../lib/url";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Empty, Failure, Snippet, Waiting } from "../ui/notice";
import { Badge, Panel } from "../ui/panel";
import { Table } from "../ui/table";

interface Letter {
  id: string;
  created: string;
  kind: string;
  reason: string;
  source: string;
  line: number | null;
  lane: string;
  seq: number;
  replayed: boolean;
  raw_bytes: number;
  raw_encoding: string;
  raw: string;
}

const KINDS = ["", "input", "delta", "frame", "corrupt", "conflict", "stale", "poison"];

/** What could not be stored as an event, and sending it again. */
export function DeadLetters(): ReactNode {
  const [params, change] = useAddress();
  const kind = KINDS.find((one) => one === params.get("kind")) ?? "";
  const [open, setOpen] = useState<string | null>(null);
  const interval = useRefreshInterval();
  const { data, error, refetch, isPending } = useQuery({
    queryKey: ["dead-letters", kind],
    queryFn: ({ signal }) => get<{ dead_letters: Letter[]; total: number }>("/api/v1/dead-letters", { kind, limit: 200 }, signal),
    refetchInterval: interval,
  });
  return (
    <Panel
      flush
      title={`Dead letters${data ? ` (${count(data.total)})` : ""}`}
      actions={
        <select aria-label="Kind of dead letter" value={kind} onChange={(event) => change({ kind: event.target.value }, { replace: true })} className="h-7 rounded-md border border-line bg-panel px-1.5 text-xs">
          {KINDS.map((one) => (
            <option key={one} value={one}>
              {one || "every kind"}
            </option>
          ))}
        </select>
      }
    >
      {error && <Failure error={error} onRetry={() => void refetch()} />}
      {isPending && <Waiting />}
      {data?.dead_letters.length === 0 && <Empty title="None">What cannot be understood is kept here with its reason; nothing is thrown away.</Empty>}
      {data && data.dead_letters.length > 0 && <Letters letters={data.dead_letters} onOpen={setOpen} />}
      {open && <LetterDialog id={open} onClose={() => setOpen(null)} />}
    </Panel>
  );
}

function Letters({ letters, onOpen }: { letters: Letter[]; onOpen: (id: string) => void }): ReactNode {
  const { zone } = useRange();
  return (
    <Table
      label="Dead letters"
      rows={letters}
      rowKey={(one) => one.id}
      columns={[
        { name: "when", cell: (one) => <span title={formatFull(one.created, zone)}>{ago(one.created, serverNow())}</span> },
        { name: "kind", cell: (one) => <Badge>{one.kind}</Badge> },
        { name: "reason", cell: (one) => <span className="wrap-anywhere">{one.reason}</span> },
        { name: "from", cell: (one) => `${one.source || "–"}${one.line ? `:${one.line}` : ""}`, wide: true },
        { name: "raw", cell: (one) => <span className="line-clamp-1 max-w-80 font-mono wrap-anywhere">{one.raw.slice(0, 120)}</span>, wide: true },
        { name: "", cell: (one) => (one.replayed ? <Badge tone="good">replayed</Badge> : null), right: true },
        {
          name: " ",
          right: true,
          cell: (one) => (
            <Button small onClick={() => onOpen(one.id)}>
              Open
            </Button>
          ),
        },
      ]}
    />
  );
}

function LetterDialog({ id, onClose }: { id: string; onClose: () => void }): ReactNode {
  const client = useQueryClient();
  const { zone } = useRange();
  const { data, error } = useQuery({ queryKey: ["dead-letter", id], queryFn: ({ signal }) => get<Letter>(`/api/v1/dead-letters/${encodeURIComponent(id)}`, {}, signal) });
  const [state, setState] = useState<{ busy?: boolean; done?: string; error?: unknown }>({});
  const replay = async () => {
    setState({ busy: true });
    try {
      const answer = await ask<{ events: number; replayed_before: boolean }>("POST", `/api/v1/dead-letters/${encodeURIComponent(id)}/replay`);
      setState({ done: answer.replayed_before ? "It had been replayed before; nothing was stored twice." : `${several(answer.events, "event")} stored now.` });
      await client.invalidateQueries();
    } catch (problem) {
      setState({ error: problem });
    }
  };
  return (
    <Dialog wide title="Dead letter" onClose={onClose}>
      {error && <Failure error={error} />}
      {!data && !error && <Waiting />}
      {data && (
        <div className="flex flex-col gap-3">
          <p>
            <Badge>{data.kind}</Badge> <span className="font-medium">{data.reason}</span>
          </p>
          <p className="text-soft">
            {formatFull(data.created, zone)} · {data.source || "no source"}
            {data.line ? `, line ${data.line}` : ""} · {bytes(data.raw_bytes)}
            {data.raw_encoding === "base64" && ", not text: shown as base64"}
          </p>
          <Snippet text={data.raw} label="As it came" />
          {state.error !== undefined && <Failure error={state.error} />}
          {state.done && (
            <p role="status" className="rounded-lg bg-good-soft px-3 py-2">
              {state.done}
            </p>
          )}
          <div>
            <Button look="main" icon="play" disabled={state.busy} onClick={() => void replay()}>
              {state.busy ? "Sending…" : "Replay"}
            </Button>
          </div>
        </div>
      )}
    </Dialog>
  );
}
