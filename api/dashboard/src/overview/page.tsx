import { useQuery } from "@tanstack/react-query";
import { Suspense, type ReactNode } from "react";
import { Link } from "react-router";
import { get, serverNow } from "../lib/client";
import { deferred } from "../lib/deferred";
import { count, duration, inUnit, several } from "../lib/format";
import { useRefreshInterval } from "../lib/preferences";
import { term } from "../lib/query";
import { useRange } from "../lib/url";
import { useAlerts, type Alert } from "../alerts/data";
import { AlertRow } from "../alerts/row";
import { Histogram } from "../logs/histogram";
import { useHistogram, usePatterns } from "../logs/data";
import { Icon } from "../ui/icons";
import { levelBar } from "../ui/level";
import { Empty, Failure, Snippet, Waiting } from "../ui/notice";
import { PageBody, Panel } from "../ui/panel";
import { Figure, Figures } from "../ui/table";
import { useNavigate } from "react-router";

const Trends = deferred(() => import("./trends"));
Trends.fetch();

interface Overview {
  status: "ok" | "degraded" | "down";
  reasons: string[];
  window_seconds: number;
  requests: { rate: number | null; error_rate: number | null; p50: number | null; p95: number | null } | null;
  system: { cpu_percent: number | null; memory_percent: number | null; disk_percent: number | null } | null;
  alerts: { active: number; acknowledged: number; worst: string | null } | null;
  services: { service: string; events: number; errors: number }[];
  ingest: { rate: number; lag_seconds: number | null; dead_letters: number; drops: number };
}

const HOUR = { start: "-1h", end: "now" };
const ERRORS = { query: "level:>=error", range: HOUR };
const ALL = { query: "", range: HOUR };

export default function OverviewPage(): ReactNode {
  const interval = useRefreshInterval();
  const { data, error, isPending, refetch } = useQuery({ queryKey: ["overview"], queryFn: ({ signal }) => get<Overview>("/api/v1/overview", {}, signal), refetchInterval: interval });
  const alerts = useAlerts("open");
  if (isPending) return <Waiting lines={9} />;
  if (!data) return <PageBody>{error && <Failure error={error} onRetry={() => void refetch()} />}</PageBody>;
  const open = alerts.data?.alerts.filter((alert) => alert.state !== "pending") ?? [];
  return (
    <PageBody>
      <Verdict overview={data} open={open} />
      {open.length > 0 && (
        <Panel title={`Alerts (${open.length})`} flush>
          <ul>
            {open.slice(0, 6).map((alert) => (
              <AlertRow key={alert.id} alert={alert} />
            ))}
          </ul>
          {open.length > 6 && (
            <Link to="/alerts" className="block border-t border-line px-3 py-2 text-accent">
              All {open.length} alerts
            </Link>
          )}
        </Panel>
      )}
      <Numbers overview={data} />
      <div className="grid gap-3 xl:grid-cols-2">
        <LogVolume />
        <Services overview={data} />
      </div>
      <Suspense fallback={<Waiting />}>
        <Trends />
      </Suspense>
      <TopErrors />
    </PageBody>
  );
}

const VERDICTS = {
  ok: { words: "All is well", look: "bg-good-soft text-good", icon: "check" },
  degraded: { words: "Something is wrong", look: "bg-warn-soft text-warn", icon: "warning" },
  down: { words: "It does not work", look: "bg-bad-soft text-bad", icon: "warning" },
} as const;

function Verdict({ overview, open }: { overview: Overview; open: readonly Alert[] }): ReactNode {
  const firing = open.some((alert) => alert.state === "active");
  const status = overview.status === "ok" && firing ? "degraded" : overview.status;
  const verdict = VERDICTS[status];
  const reasons = overview.reasons.length ? overview.reasons : firing ? [`${open.filter((alert) => alert.state === "active").length} alerts wait for somebody`] : [];
  return (
    <div role="status" className={`flex items-start gap-2.5 rounded-lg px-3.5 py-2.5 ${verdict.look}`}>
      <Icon name={verdict.icon} size={20} />
      <div>
        <p className="font-semibold">{verdict.words}</p>
        {reasons.map((reason) => (
          <p key={reason} className="text-ink">
            {reason}
          </p>
        ))}
      </div>
    </div>
  );
}

function tone(value: number | null | undefined, warn: number, bad: number): "plain" | "warn" | "bad" {
  return value === null || value === undefined ? "plain" : value >= bad ? "bad" : value >= warn ? "warn" : "plain";
}

function Numbers({ overview }: { overview: Overview }): ReactNode {
  const { requests, system, ingest } = overview;
  const shown = (value: number | null | undefined, write: (value: number) => string) => (value === null || value === undefined ? "–" : write(value));
  // Tones follow the default rules: CPU > 80 %, memory > 90 %, disk > 85 %, errors > 10 %, slow > 5 s.
  return (
    <Figures>
      <Figure name="Requests" value={shown(requests?.rate, (value) => inUnit(value, "rate"))} note={`last ${duration(overview.window_seconds)}`} />
      <Figure name="Error rate" value={shown(requests?.error_rate, (value) => inUnit(value, "ratio"))} tone={tone(requests?.error_rate, 0.02, 0.1)} note="answered 5xx" />
      <Figure name="Latency p95" value={shown(requests?.p95, duration)} note={`p50 ${shown(requests?.p50, duration)}`} tone={tone(requests?.p95, 1, 5)} />
      <Figure name="CPU" value={shown(system?.cpu_percent, (value) => inUnit(value / 100, "ratio"))} tone={tone(system?.cpu_percent, 70, 80)} note="busiest host" />
      <Figure name="Memory" value={shown(system?.memory_percent, (value) => inUnit(value / 100, "ratio"))} tone={tone(system?.memory_percent, 80, 90)} note="fullest host" />
      <Figure name="Disk" value={shown(system?.disk_percent, (value) => inUnit(value / 100, "ratio"))} tone={tone(system?.disk_percent, 75, 85)} note="fullest disk" />
      <Figure name="Ingest" value={`${count(ingest.rate)}/s`} note="events" />
      <Figure name="Lag" value={shown(ingest.lag_seconds, duration)} tone={tone(ingest.lag_seconds, 10, 60)} note="of what waits" />
      <Figure name="Dead letters" value={count(ingest.dead_letters)} tone={tone(ingest.dead_letters, 1, Infinity)} note={`${count(ingest.drops)} dropped`} />
    </Figures>
  );
}

function LogVolume(): ReactNode {
  const { zone } = useRange();
  const navigate = useNavigate();
  const { data, error, refetch } = useHistogram(ALL, 60);
  return (
    <Panel title="Events of the last hour" actions={<Link to="/logs" className="px-1 text-xs text-accent">Logs</Link>}>
      {data ? <Histogram answer={data} zone={zone} now={serverNow()} height="h-28" onZoom={(range) => void navigate(`/logs?${new URLSearchParams({ start: range.start, end: range.end })}`)} /> : error ? <Failure error={error} onRetry={() => void refetch()} /> : <Waiting />}
    </Panel>
  );
}

function Services({ overview }: { overview: Overview }): ReactNode {
  const services = overview.services;
  if (services.length === 0) {
    return (
      <Panel title="Services">
        <Empty title="No service has sent anything lately">
          <Snippet text={'from monitoring.startup import start_monitoring_with_config\n\nstart_monitoring_with_config(service="web")'} label="In a Python service" />
        </Empty>
      </Panel>
    );
  }
  const top = Math.max(1, ...services.map((one) => one.events));
  return (
    <Panel title={`Noisiest services, last ${duration(overview.window_seconds)}`} flush>
      <ul className="py-1">
        {services.slice(0, 8).map((one) => (
          <li key={one.service}>
            <Link to={`/logs?${new URLSearchParams({ query: `${term("service", one.service)} level:>=warning` })}`} className="flex items-center gap-3 px-3 py-1 hover:bg-raised">
              <span className="w-32 truncate font-medium">{one.service || "–"}</span>
              <span className="flex h-2 min-w-0 flex-1 overflow-hidden rounded-full bg-raised" aria-hidden="true">
                <span className={levelBar("ERROR")} style={{ width: `${(one.errors / top) * 100}%` }} />
                <span className={levelBar("INFO")} style={{ width: `${((one.events - one.errors) / top) * 100}%` }} />
              </span>
              <span className="w-40 text-right text-2xs text-soft tabular-nums">
                {several(one.events, "event")}, <span className={one.errors ? "font-semibold text-bad" : ""}>{several(one.errors, "error")}</span>
              </span>
            </Link>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function TopErrors(): ReactNode {
  const { data } = usePatterns(ERRORS);
  if (!data || data.patterns.length === 0) return null;
  return (
    <Panel title="Errors of the last hour" flush>
      <ul>
        {data.patterns.slice(0, 6).map((one) => (
          <li key={one.template} className="border-t border-line first:border-0">
            <Link to="/logs?query=level%3A%3E%3Derror&tab=patterns" className="flex gap-3 px-3 py-1 hover:bg-raised">
              <span className="w-12 text-right font-semibold tabular-nums">{count(one.count)}</span>
              <span className="min-w-0 truncate font-mono text-xs">{one.template.replaceAll("<*>", "∗")}</span>
              <span className="ml-auto shrink-0 text-2xs text-soft max-sm:hidden">{Object.keys(one.services).slice(0, 3).join(", ")}</span>
            </Link>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
