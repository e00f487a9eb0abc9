import type { ReactNode } from "react";
import { useMay } from "../lib/session";
import { useAddress } from "../lib/url";
import { Empty } from "../ui/notice";
import { PageBody, Tabs } from "../ui/panel";
import { AuditLog } from "./audit";
import { Keys } from "./keys";

type Tab = "keys" | "audit";

export default function Admin(): ReactNode {
  const admin = useMay("admin");
  const [params, change] = useAddress();
  const tab: Tab = params.get("tab") === "audit" ? "audit" : "keys";
  if (!admin) return <Empty title="For administrators">Log in with a key of the role admin to see keys and the audit log.</Empty>;
  return (
    <PageBody>
      <Tabs<Tab>
        label="Part"
        value={tab}
        onChange={(next) => change({ tab: next, find: null })}
        options={[
          { value: "keys", name: "API keys" },
          { value: "audit", name: "Audit log" },
        ]}
      />
      {tab === "keys" ? <Keys /> : <AuditLog />}
    </PageBody>
  );
}
