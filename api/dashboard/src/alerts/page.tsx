import type { ReactNode } from "react";
import { useParams } from "react-router";
import { useKeys } from "../lib/keyboard";
import { useAddress, useTyped } from "../lib/url";
import { Find } from "../ui/field";
import { Empty, Failure, Waiting } from "../ui/notice";
import { PageBody, Panel, Tabs } from "../ui/panel";
import { Channels } from "./channels";
import { useAlerts, type Alert, type Severity } from "./data";
import { AlertDetail } from "./detail";
import { AlertRow } from "./row";
import { Rules } from "./rules";
import { Silences } from "./silences";
import { Windows } from "./windows";

const TABS = [
  { value: "open", name: "Open" },
  { value: "history", name: "History" },
  { value: "rules", name: "Rules" },
  { value: "silences", name: "Silences" },
  { value: "channels", name: "Channels" },
] as const;
type Tab = (typeof TABS)[number]["value"];

export default function Alerts(): ReactNode {
  const { id } = useParams();
  const [params, change] = useAddress();
  const tab = TABS.find((one) => one.value === params.get("tab"))?.value ?? "open";
  if (id) return <PageBody><AlertDetail id={id} /></PageBody>;
  return (
    <PageBody>
      <Tabs<Tab> label="Part" value={tab} options={TABS} onChange={(next) => change({ tab: next === "open" ? null : next, find: null })} />
      {(tab === "open" || tab === "history") && <AlertList key={tab} history={tab === "history"} />}
      {tab === "rules" && <Rules />}
      {tab === "silences" && (
        <>
          <Silences />
          <Windows />
        </>
      )}
      {tab === "channels" && <Channels />}
    </PageBody>
  );
}

const ORDER: Record<Severity, number> = { critical: 0, warning: 1, info: 2 };

/** What needs somebody stands first: active before acknowledged before pending, the gravest on top. */
export function sorted(alerts: readonly Alert[]): Alert[] {
  const states = { active: 0, acknowledged: 1, pending: 2, resolved: 3 };
  return [...alerts].sort((a, b) => states[a.state] - states[b.state] || ORDER[a.severity] - ORDER[b.severity] || b.started_at.localeCompare(a.started_at));
}

function AlertList({ history }: { history: boolean }): ReactNode {
  const { data, error, isPending, refetch } = useAlerts(history ? "resolved" : "open");
  const [text, setText] = useTyped("find");
  useKeys("Alerts", [{ keys: "/", does: "find", run: () => document.getElementById("find-alert")?.focus() }]);
  if (isPending) return <Waiting lines={6} />;
  if (!data) return error && <Failure error={error} onRetry={() => void refetch()} />;
  const wanted = text.toLowerCase();
  const alerts = (history ? data.alerts : sorted(data.alerts)).filter((alert) => `${alert.rule} ${alert.summary} ${Object.entries(alert.labels).flat().join(" ")}`.toLowerCase().includes(wanted));
  return (
    <Panel
      flush
      title={history ? "Resolved alerts, the newest first" : `${alerts.length} open`}
      actions={<Find id="find-alert" label="Find an alert" value={text} onChange={setText} />}
    >
      {alerts.length === 0 ? (
        <Empty title={history ? "None was resolved yet" : "Nothing is wrong"}>{history ? "" : "When a rule's condition holds, its alert appears here and its channels are told."}</Empty>
      ) : (
        <ul>
          {alerts.map((alert) => (
            <AlertRow key={alert.id} alert={alert} />
          ))}
        </ul>
      )}
    </Panel>
  );
}
