import { useState, type ReactNode } from "react";
import { Link } from "react-router";
import { serverNow } from "../lib/client";
import { inUnit, unitOf } from "../lib/format";
import { useMay } from "../lib/session";
import { ago } from "../lib/time";
import { Button } from "../ui/button";
import { Badge } from "../ui/panel";
import { Act, type Action } from "./act";
import { useRules, type Alert, type AlertState, type Rule, type Severity } from "./data";

const SEVERITIES: Record<Severity, "accent" | "warn" | "bad"> = { info: "accent", warning: "warn", critical: "bad" };
const BARS: Record<Severity, string> = { info: "bg-bar-info", warning: "bg-bar-warn", critical: "bg-bar-bad" };
const STATES: Record<AlertState, "plain" | "bad" | "warn" | "good"> = { pending: "plain", active: "bad", acknowledged: "warn", resolved: "good" };

/** Operators as they are printed. */
export const SIGNS: Record<string, string> = { ">=": "≥", "<=": "≤", "!=": "≠", "==": "=" };

export function SeverityBadge({ severity }: { severity: Severity }): ReactNode {
  return <Badge tone={SEVERITIES[severity] ?? "plain"}>{severity}</Badge>;
}

export function StateBadge({ alert }: { alert: Pick<Alert, "state" | "acknowledged_by"> }): ReactNode {
  return <Badge tone={STATES[alert.state]}>{alert.state === "acknowledged" && alert.acknowledged_by ? `acknowledged by ${alert.acknowledged_by}` : alert.state}</Badge>;
}

/** The measured value with what it is measured against, in the unit of the rule's expression. */
export function valueWords(alert: Alert, rule: Rule | undefined): string {
  if (alert.value === null) return "";
  const unit = (rule?.kind === "metric" || rule?.kind === "status") && rule.expr ? unitOf(rule.expr) : alert.kind === "heartbeat" ? "seconds" : "count";
  return `${inUnit(alert.value, unit)}${alert.threshold === null ? "" : ` (${SIGNS[alert.operator ?? ">="] ?? alert.operator} ${inUnit(alert.threshold, unit)})`}`;
}

/** An alert in a list, with what can be done about it. */
export function AlertRow({ alert }: { alert: Alert }): ReactNode {
  const may = useMay("operator");
  const [action, setAction] = useState<Action | null>(null);
  const rule = useRules().data?.rules.find((one) => one.name === alert.rule);
  const labels = Object.entries(alert.labels);
  return (
    <li className="flex items-stretch border-t border-line first:border-0">
      <span aria-hidden="true" className={`w-1 shrink-0 ${alert.state === "resolved" ? "bg-line" : BARS[alert.severity]}`} />
      <div className="flex min-w-0 flex-1 flex-wrap items-center gap-x-3 gap-y-1.5 px-3 py-2">
        <Link to={`/alerts/${alert.id}`} className="min-w-0 flex-1 basis-64 hover:text-accent">
          <p className="truncate font-semibold">{alert.summary || alert.rule}</p>
          <p className="truncate text-2xs text-soft">
            {alert.rule}
            {labels.map(([name, value]) => ` · ${name}=${value}`)}
          </p>
        </Link>
        <div className="flex flex-wrap items-center gap-1.5">
          <SeverityBadge severity={alert.severity} />
          <StateBadge alert={alert} />
          {alert.stale && <Badge tone="warn" title="Its data come too late to tell whether it is still true">stale</Badge>}
          {alert.flapping && <Badge tone="warn">flapping</Badge>}
          {alert.held && <Badge title={`Nobody is told: ${alert.held}`}>held</Badge>}
          <span className="text-2xs text-soft tabular-nums">
            {valueWords(alert, rule)}{alert.value !== null && " · "}{alert.state === "resolved" && alert.resolved_at ? `ended ${ago(alert.resolved_at, serverNow())}` : `began ${ago(alert.active_at ?? alert.started_at, serverNow())}`}
          </span>
        </div>
        {may && alert.state !== "resolved" && (
          <div className="flex gap-1">
            {alert.state !== "acknowledged" && (
              <Button small icon="check" onClick={() => setAction("acknowledge")}>
                Acknowledge
              </Button>
            )}
            <Button small onClick={() => setAction("resolve")}>
              Resolve
            </Button>
            <Button small icon="bellOff" onClick={() => setAction("silence")}>
              Silence
            </Button>
          </div>
        )}
      </div>
      {action && <Act action={action} alert={alert} onClose={() => setAction(null)} />}
    </li>
  );
}
