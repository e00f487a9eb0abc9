import { useState, type FormEvent, type ReactNode } from "react";
import { Link } from "react-router";
import { ExpressionChart } from "../explore/chart";
import { useEvents, eventsOf } from "../logs/data";
import { serverNow } from "../lib/client";
import { unitOf } from "../lib/format";
import { term } from "../lib/query";
import { useChange } from "../lib/change";
import { useMay } from "../lib/session";
import { ago, clock, formatFull, iso, secondsOf, type Range } from "../lib/time";
import { useRange } from "../lib/url";
import { Button } from "../ui/button";
import { LevelTag } from "../ui/level";
import { Failure, Waiting } from "../ui/notice";
import { Panel } from "../ui/panel";
import { Act, type Action } from "./act";
import { useAlert, useHistory, useRules, type Alert, type Rule } from "./data";
import { SeverityBadge, StateBadge, valueWords } from "./row";

/** One alert: what it is, since when, its chart and logs, what happened and what can be done. */
export function AlertDetail({ id }: { id: string }): ReactNode {
  const { data: alert, error, isPending, refetch } = useAlert(id);
  const rules = useRules();
  const may = useMay("operator");
  const [action, setAction] = useState<Action | null>(null);
  const { zone } = useRange();
  if (isPending) return <Waiting lines={6} />;
  if (!alert) return error && <Failure error={error} onRetry={() => void refetch()} />;
  const rule = rules.data?.rules.find((one) => one.name === alert.rule);
  const now = serverNow();
  return (
    <>
      <Link to="/alerts" className="text-accent">
        ← All alerts
      </Link>
      <section className="flex flex-col gap-2 rounded-lg border border-line bg-panel p-4">
        <div className="flex flex-wrap items-center gap-2">
          <SeverityBadge severity={alert.severity} />
          <StateBadge alert={alert} />
          <span className="text-soft" title={formatFull(alert.started_at, zone)}>
            began {ago(alert.started_at, now)}
            {alert.resolved_at && `, ended ${ago(alert.resolved_at, now)}`}
          </span>
        </div>
        <h2 className="text-base font-semibold wrap-anywhere">{alert.summary || alert.rule}</h2>
        {alert.description && <p className="whitespace-pre-wrap">{alert.description}</p>}
        {alert.stale && <p className="text-warn">Its data come too late: nobody can tell whether it is still true.</p>}
        {alert.held && <p className="text-warn">Nobody is told: {alert.held}</p>}
        <dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-1">
          <Fact name="Rule">{alert.rule}</Fact>
          {alert.value !== null && <Fact name="Value">{valueWords(alert, rule)}</Fact>}
          {Object.entries(alert.labels).map(([name, value]) => (
            <Fact key={name} name={name}>
              {value}
            </Fact>
          ))}
          <Fact name="Told">{alert.channels.join(", ") || "nobody"}</Fact>
          {alert.acknowledged_by && <Fact name="Taken by">{alert.acknowledged_by}</Fact>}
          {/^https?:\/\//.test(alert.runbook) ? (
            <Fact name="Runbook">
              <a className="text-accent underline" href={alert.runbook} target="_blank" rel="noreferrer noopener">
                {alert.runbook}
              </a>
            </Fact>
          ) : (
            alert.runbook && <Fact name="Runbook">{alert.runbook}</Fact>
          )}
        </dl>
        {may && alert.state !== "resolved" && (
          <div className="flex flex-wrap gap-2 pt-1">
            {alert.state !== "acknowledged" && (
              <Button look="main" icon="check" onClick={() => setAction("acknowledge")}>
                Acknowledge
              </Button>
            )}
            <Button onClick={() => setAction("resolve")}>Resolve</Button>
            <Button icon="bellOff" onClick={() => setAction("silence")}>
              Silence
            </Button>
          </div>
        )}
      </section>
      {rule?.kind === "metric" && rule.expr && (
        <Panel title={rule.expr}>
          <ExpressionChart title={rule.expr} expr={rule.expr} unit={unitOf(rule.expr)} threshold={rule.threshold ?? null} range={around(alert)} />
        </Panel>
      )}
      {rule && rule.kind === "logs" && <Lines rule={rule} alert={alert} />}
      <History id={id} may={may} />
      {action && <Act action={action} alert={alert} onClose={() => setAction(null)} />}
    </>
  );
}

const BEFORE_MS = 1_800_000; // half an hour shows how it was when all was well
const AFTER_MS = 600_000;

/** The range in which an alert can be seen to come and, if it has, to go. */
export function around(alert: Pick<Alert, "started_at" | "resolved_at">): Range {
  return { start: iso(Date.parse(alert.started_at) - BEFORE_MS), end: alert.resolved_at ? iso(Date.parse(alert.resolved_at) + AFTER_MS) : "now" };
}

function Fact({ name, children }: { name: string; children: ReactNode }): ReactNode {
  return (
    <>
      <dt className="text-soft">{name}</dt>
      <dd className="min-w-0 wrap-anywhere">{children}</dd>
    </>
  );
}

function Lines({ rule, alert }: { rule: Rule; alert: Alert }): ReactNode {
  const { zone } = useRange();
  const labels = (rule.group_by ?? []).filter((name) => alert.labels[name]).map((name) => term(name, alert.labels[name]!));
  const query = [rule.query ? (/\bOR\b/.test(rule.query) ? `(${rule.query})` : rule.query) : "", ...labels].filter(Boolean).join(" ");
  const end = alert.resolved_at ?? "now";
  const before = Math.max(600, secondsOf(rule.window ?? "")) * 1000; // what it counted lies in its window
  const range = { start: new Date(Date.parse(alert.started_at) - before).toISOString(), end };
  const { data, error, isPending } = useEvents({ query, range }, true, true);
  const events = eventsOf(data);
  return (
    <Panel title="What was said" flush actions={<Link className="px-1 text-xs text-accent" to={`/logs?${new URLSearchParams({ query, start: range.start, end })}`}>All of it</Link>}>
      {error && <Failure error={error} />}
      {isPending && <Waiting />}
      {data && events.length === 0 && <p className="px-3 py-2 text-soft">Nothing that matches is stored any more.</p>}
      <ol className={events.length ? "py-1 font-mono text-xs" : "hidden"}>
        {events.slice(0, 10).map((event) => (
          <li key={event.id} className="flex gap-2 px-3 py-0.5">
            <time className="shrink-0 text-soft">{clock(Date.parse(event.timestamp), zone, 3)}</time>
            <LevelTag level={event.level} />
            <span className="min-w-0 truncate">{event.message}</span>
          </li>
        ))}
      </ol>
    </Panel>
  );
}

function History({ id, may }: { id: string; may: boolean }): ReactNode {
  const { data, error } = useHistory(id);
  const { zone } = useRange();
  const { busy, error: refused, run } = useChange("alerts");
  const [comment, setComment] = useState("");
  const say = async (event: FormEvent) => {
    event.preventDefault();
    if ((await run("POST", `/api/v1/alerts/${encodeURIComponent(id)}/comments`, { comment })) !== undefined) setComment("");
  };
  return (
    <Panel title="What happened">
      {error && <Failure error={error} />}
      <ol className="flex flex-col gap-1.5">
        {data?.history.map((one) => (
          <li key={one.number} className="flex flex-wrap gap-x-3">
            <time className="text-soft tabular-nums">{formatFull(one.at, zone).slice(0, 19)}</time>
            <span className="font-medium">{one.from && one.from !== one.to ? `${one.from} → ${one.to}` : one.kind === "transition" ? one.to : one.kind}</span>
            <span className="text-soft">{one.actor}</span>
            {one.note && <span className="min-w-0 wrap-anywhere">{one.note}</span>}
          </li>
        ))}
      </ol>
      {may && (
        <form onSubmit={(event) => void say(event)} className="mt-3 flex gap-2">
          <input aria-label="Comment" placeholder="Add a comment" value={comment} onChange={(event) => setComment(event.target.value)} className="h-8 min-w-0 flex-1 rounded-md border border-line bg-panel px-2" />
          <Button type="submit" disabled={busy || !comment.trim()}>
            Add
          </Button>
        </form>
      )}
      {refused !== null && <Failure error={refused} />}
    </Panel>
  );
}
