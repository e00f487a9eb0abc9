import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { get, serverNow } from "../lib/client";
import { bytes, count, duration } from "../lib/format";
import { useRefreshInterval } from "../lib/preferences";
import { useMay } from "../lib/session";
import { ago, formatFull } from "../lib/time";
import { useRange } from "../lib/url";
import { Empty, Failure, Waiting } from "../ui/notice";
import { Badge, PageBody, Panel } from "../ui/panel";
import { Figure, Figures, Table } from "../ui/table";
import { DeadLetters } from "./letters";
import { Retention } from "./retention";
import { Workers } from "./workers";

interface Lag {
  frames: number;
  seconds: number;
}

interface Books {
  emitted: number;
  committed: number;
  dead_lettered: number;
  missing: number;
  in_flight: number;
  unaccounted: number;
  residual: number;
  dropped: Record<string, number>;
  rows: number;
  rows_deleted: number;
  bytes: number;
  events_per_second: number;
  lag: Lag | null;
}

interface Partition extends Books {
  signal: string;
  partition: number;
  segments: number;
  segment: number;
  holder: number | null;
  lanes: number;
}

interface Producer {
  lane: string;
  signal?: string;
  partition: number;
  service: string;
  host: string;
  pid: number;
  state: "live" | "closed" | "vanished";
  reported: string;
  emitted: number;
  dropped: Record<string, number>;
  in_flight?: number;
  unaccounted?: number;
  unaccounted_since?: string;
}

interface Status {
  time: string;
  drains: number;
  totals: Books & { segments: number };
  partitions: Partition[];
  producers: Producer[];
  producers_not_listed: number;
  problems: string[];
}

const SLOW_SECONDS = 10; // a drain commits several times a second: ten seconds say that it does not keep up
const STUCK_SECONDS = 60; // what /readyz calls unready

export default function Pipeline(): ReactNode {
  const interval = useRefreshInterval();
  const { data, error, isPending, refetch } = useQuery({ queryKey: ["status"], queryFn: ({ signal }) => get<Status>("/api/v1/status", {}, signal), refetchInterval: interval });
  const admin = useMay("admin");
  if (isPending) return <Waiting lines={9} />;
  return (
    <PageBody>
      {error && <Failure error={error} what={data ? "This is not fresh" : undefined} onRetry={() => void refetch()} />}
      {data && <Numbers status={data} />}
      {data && <Partitions partitions={data.partitions} />}
      {data && <Workers drains={data.drains} />}
      {data && <Producers status={data} />}
      {admin ? (
        <>
          <DeadLetters />
          <Retention />
        </>
      ) : (
        <p className="text-soft">Dead letters and retention are shown to administrators.</p>
      )}
    </PageBody>
  );
}

function sum(dropped: Record<string, number>): number {
  return Object.values(dropped).reduce((total, one) => total + one, 0);
}

function lagTone(lag: Lag | null): "bad" | "warn" | "plain" {
  return lag === null || lag.seconds >= STUCK_SECONDS ? "bad" : lag.seconds >= SLOW_SECONDS ? "warn" : "plain";
}

function Numbers({ status }: { status: Status }): ReactNode {
  const { totals } = status;
  const dropped = sum(totals.dropped);
  return (
    <>
      {status.problems.map((problem) => (
        <p key={problem} role="alert" className="rounded-lg bg-bad-soft px-3 py-2">
          {problem}
        </p>
      ))}
      <Figures>
        <Figure name="Rate" value={`${count(totals.events_per_second)}/s`} note="last one to two minutes" />
        <Figure name="Lag" value={totals.lag ? duration(totals.lag.seconds) : "unknown"} note={totals.lag ? `${count(totals.lag.frames)} frames wait` : "the bus is away"} tone={lagTone(totals.lag)} />
        <Figure name="Drains" value={status.drains} note="that hold partitions" tone={status.drains ? "plain" : "bad"} />
        <Figure name="Stored" value={count(totals.rows)} note={`${bytes(totals.bytes)}, ${count(totals.segments)} segments`} />
        <Figure name="In flight" value={count(totals.in_flight)} note="sent, not stored yet" />
        <Figure name="Dead letters" value={count(totals.dead_lettered)} note="kept, can be replayed" tone={totals.dead_lettered ? "warn" : "plain"} />
        <Figure name="Dropped" value={count(dropped)} note={dropped ? Object.keys(totals.dropped).join(", ") : "none"} tone={dropped ? "warn" : "plain"} />
        <Figure name="Books" value={totals.residual === 0 ? "balance" : `off by ${count(totals.residual)}`} note={`${count(totals.emitted)} sent, ${count(totals.committed)} stored`} tone={totals.residual === 0 ? "good" : "bad"} />
      </Figures>
    </>
  );
}

function Partitions({ partitions }: { partitions: Partition[] }): ReactNode {
  return (
    <Panel title="Partitions" flush>
      <Table
        label="Partitions"
        rows={partitions}
        rowKey={(one) => `${one.signal} ${one.partition}`}
        columns={[
          { name: "partition", cell: (one) => <span className="font-medium">{`${one.signal} ${one.partition}`}</span> },
          { name: "lag", cell: (one) => <span className={lagTone(one.lag) === "bad" ? "text-bad" : ""}>{one.lag ? duration(one.lag.seconds) : "unknown"}</span>, right: true },
          { name: "waiting", cell: (one) => count(one.lag?.frames ?? 0), right: true, wide: true },
          { name: "a second", cell: (one) => count(one.events_per_second), right: true },
          { name: "rows", cell: (one) => count(one.rows), right: true },
          { name: "size", cell: (one) => bytes(one.bytes), right: true },
          { name: "segments", cell: (one) => <span title={`The active one has the number ${one.segment}`}>{count(one.segments)}</span>, right: true },
          { name: "deleted rows", cell: (one) => count(one.rows_deleted), right: true, wide: true },
          { name: "lanes", cell: (one) => one.lanes, right: true, wide: true },
          { name: "drain", cell: (one) => (one.holder === null ? <Badge tone="bad">none</Badge> : `pid ${one.holder}`), right: true },
          { name: "books", cell: (one) => (one.residual === 0 ? <Badge tone="good">balance</Badge> : <Badge tone="bad">off by {count(one.residual)}</Badge>), right: true, wide: true },
        ]}
      />
    </Panel>
  );
}

const TONES = { live: "good", closed: "plain", vanished: "bad" } as const;

function Producers({ status }: { status: Status }): ReactNode {
  const { zone } = useRange();
  return (
    <Panel title={`Producers (${status.producers.length + status.producers_not_listed})`} flush>
      {status.producers.length === 0 ? (
        <Empty title="No producer has reported yet">Services that use the SDK, `monitoring ingest` and this server report here every ten seconds.</Empty>
      ) : (
        <Table
          label="Producers"
          rows={status.producers}
          rowKey={(one) => `${one.lane} ${one.partition}`}
          columns={[
            { name: "service", cell: (one) => <span className="font-medium">{one.service || "–"}</span> },
            { name: "state", cell: (one) => <Badge tone={TONES[one.state]}>{one.state}</Badge> },
            { name: "host", cell: (one) => `${one.host}, pid ${one.pid}`, wide: true },
            { name: "sent", cell: (one) => count(one.emitted), right: true },
            { name: "dropped", cell: (one) => <span className={sum(one.dropped) ? "font-semibold text-warn" : ""}>{count(sum(one.dropped))}</span>, right: true },
            { name: "in flight", cell: (one) => count(one.in_flight ?? 0), right: true, wide: true },
            { name: "unaccounted", cell: (one) => (one.unaccounted ? <span className="font-semibold text-bad">{count(one.unaccounted)}</span> : "0"), right: true, wide: true },
            { name: "reported", cell: (one) => <span title={formatFull(one.reported, zone)}>{ago(one.reported, serverNow())}</span>, right: true },
          ]}
        />
      )}
    </Panel>
  );
}
