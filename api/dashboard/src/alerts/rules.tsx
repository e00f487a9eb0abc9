import { useState, type ReactNode } from "react";
import { serverNow } from "../lib/client";
import { inUnit, unitOf } from "../lib/format";
import { useChange } from "../lib/change";
import { useMay } from "../lib/session";
import { ago } from "../lib/time";
import { Button } from "../ui/button";
import { Empty, Failure, Waiting } from "../ui/notice";
import { Badge, Panel } from "../ui/panel";
import { Table } from "../ui/table";
import { useRules, type Rule } from "./data";
import { RuleEditor } from "./editor";
import { SeverityBadge, SIGNS } from "./row";

const NEW: Rule = { name: "", kind: "metric", expr: "", operator: ">", threshold: null, for: "5m", interval: "60s", severity: "warning", annotations: {}, channels: [], enabled: true };

/** What is an alert: all rules, and how their last evaluation went. */
export function Rules(): ReactNode {
  const { data, error, isPending, refetch } = useRules();
  const may = useMay("operator");
  const { error: refused, run } = useChange("alerts");
  const [edited, setEdited] = useState<{ rule: Rule; fresh: boolean } | null>(null);
  const path = (rule: Rule) => `/api/v1/rules/${encodeURIComponent(rule.name)}`;
  return (
    <Panel
      flush
      title="Rules"
      actions={
        may && (
          <Button small look="main" icon="plus" onClick={() => setEdited({ rule: NEW, fresh: true })}>
            New rule
          </Button>
        )
      }
    >
      {isPending && <Waiting lines={6} />}
      {(error ?? refused) !== null && <Failure error={error ?? refused} onRetry={() => void refetch()} />}
      {data?.files?.filter((file) => file.errors.length > 0).map((file) => (
        <p key={file.path} role="alert" className="bg-bad-soft px-3 py-1.5">
          {file.path}: {file.errors.map((one) => Object.values(one).join(" ")).join("; ")}
        </p>
      ))}
      {data?.rules.length === 0 && <Empty title="No rules">A rule says which metric or which lines make an alert.</Empty>}
      {data && data.rules.length > 0 && (
        <Table
          label="Rules"
          rows={data.rules}
          rowKey={(rule) => rule.name}
          columns={[
            {
              name: "rule",
              cell: (rule) => (
                <>
                  <span className="font-medium">{rule.name}</span>
                  <span className="block max-w-md font-mono text-2xs text-soft max-sm:line-clamp-2 max-sm:wrap-anywhere sm:truncate" title={conditionOf(rule)}>{conditionOf(rule)}</span>
                </>
              ),
            },
            { name: "severity", cell: (rule) => <SeverityBadge severity={rule.severity} /> },
            { name: "for", cell: (rule) => rule.for ?? "", wide: true },
            { name: "channels", cell: (rule) => rule.channels?.join(", ") || "the default ones", wide: true },
            { name: "state", cell: (rule) => <Status rule={rule} /> },
            {
              name: "",
              right: true,
              cell: (rule) => (
                <span className="inline-flex gap-1">
                  <Button small onClick={() => setEdited({ rule, fresh: false })}>
                    {may && !rule.read_only ? "Edit" : "Show"}
                  </Button>
                  {may && !rule.read_only && (
                    <Button small onClick={() => void run("POST", `${path(rule)}/${rule.enabled ? "disable" : "enable"}`)}>
                      {rule.enabled ? "Off" : "On"}
                    </Button>
                  )}
                </span>
              ),
            },
          ]}
        />
      )}
      {edited && <RuleEditor rule={edited.rule} fresh={edited.fresh} may={may && !edited.rule.read_only} onClose={() => setEdited(null)} />}
    </Panel>
  );
}

const TONES: Record<string, "good" | "bad" | "warn" | "plain"> = { ok: "good", firing: "bad", error: "bad", stale: "warn", disabled: "plain" };

function Status({ rule }: { rule: Rule }): ReactNode {
  const state = rule.status?.state ?? (rule.enabled ? "ok" : "disabled");
  const when = rule.status?.evaluated_at ? `evaluated ${ago(rule.status.evaluated_at, serverNow())}` : "not evaluated yet";
  return (
    <span title={rule.status?.note || when}>
      <Badge tone={TONES[state] ?? "plain"}>{state || "new"}</Badge>
      {rule.status?.note && <span className="block max-w-56 truncate text-2xs text-soft">{rule.status.note}</span>}
    </span>
  );
}

/** What a rule looks at, in a line. */
function conditionOf(rule: Rule): string {
  if (rule.kind === "delivery") return "a channel could not deliver in the last hour";
  if (rule.kind === "logs" && rule.condition === "zero") return `no ${rule.query || "event"} in ${rule.window ?? "5m"}`;
  if (rule.kind === "logs" && rule.condition === "new_pattern") return `${rule.query || "all events"}: a kind of message not seen in ${rule.lookback ?? "1d"}`;
  if (rule.kind === "heartbeat") return `silence of ${rule.query || "any service"} for ${rule.window ?? "5m"}`;
  const against = rule.threshold === null || rule.threshold === undefined ? "" : `${SIGNS[rule.operator ?? ">="] ?? rule.operator} ${rule.kind === "metric" && rule.expr ? inUnit(rule.threshold, unitOf(rule.expr)) : rule.threshold}`;
  return rule.kind === "metric" || rule.kind === "status" ? `${rule.expr ?? ""} ${against}` : `${rule.query || "all events"} ${against} in ${rule.window ?? "5m"}`;
}
