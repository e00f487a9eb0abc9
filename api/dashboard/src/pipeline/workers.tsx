import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { send } from "../lib/client";
import { byLabel, samplesOf } from "../lib/exposition";
import { bytes, count, duration } from "../lib/format";
import { useRefreshInterval } from "../lib/preferences";
import { Failure, Waiting } from "../ui/notice";
import { Panel } from "../ui/panel";
import { Table } from "../ui/table";

const DOES: Record<string, string> = {
  drain: "writes what comes into the store",
  alerts: "evaluates rules",
  notify: "delivers notifications",
  maintenance: "retention, compaction",
};
const BEHIND = 20; // jobs: the ticker enqueues one where none waits, so that more are work that piles up

/** The queues of the workers, the outbox, and what the processes take: what /metrics says of this server. */
export function Workers({ drains }: { drains: number }): ReactNode {
  const interval = useRefreshInterval();
  const { data, error, isPending, refetch } = useQuery({
    queryKey: ["own-metrics"],
    queryFn: async ({ signal }) => samplesOf(await (await send("GET", "/metrics", { signal, headers: { Accept: "text/plain" } })).text()),
    refetchInterval: interval,
  });
  if (isPending) return <Waiting />;
  if (!data) return error && <Failure error={error} onRetry={() => void refetch()} />;
  const jobs = byLabel(data, "monitoring_queue_jobs", "queue");
  const notices = byLabel(data, "monitoring_notices", "state");
  const memory = byLabel(data, "monitoring_process_resident_memory_bytes", "part");
  const cpu = byLabel(data, "monitoring_process_cpu_seconds_total", "part");
  const now: Record<string, string> = {
    drain: `${count(drains)} at work`,
    notify: [`${count(notices.waiting ?? 0)} waiting`, `${count(notices.sent ?? 0)} sent`, ...(notices.failed ? [`${count(notices.failed)} failed`] : [])].join(", "),
  };
  const rows = [
    ...Object.keys(jobs).map((queue) => ({ name: queue, does: DOES[queue] ?? "", jobs: jobs[queue] ?? 0, now: now[queue] ?? "", part: queue })),
    { name: "api", does: "answers requests, this page too", jobs: null, now: "", part: "api" },
  ];
  return (
    <Panel title="Workers" flush>
      <Table
        label="Workers"
        rows={rows}
        rowKey={(one) => one.name}
        columns={[
          { name: "worker", cell: (one) => <span className="font-medium">{one.name}</span> },
          { name: "does", cell: (one) => <span className="text-soft">{one.does}</span>, wide: true },
          { name: "now", cell: (one) => one.now || null },
          { name: "jobs waiting", cell: (one) => (one.jobs === null ? "–" : <span className={one.jobs > BEHIND ? "font-semibold text-warn" : ""}>{count(one.jobs)}</span>), right: true },
          { name: "memory", cell: (one) => (memory[one.part] === undefined ? "–" : bytes(memory[one.part]!)), right: true },
          { name: "CPU time", cell: (one) => (cpu[one.part] === undefined ? "–" : duration(cpu[one.part]!)), right: true, wide: true },
        ]}
      />
    </Panel>
  );
}
