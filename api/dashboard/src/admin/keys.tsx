import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent, type ReactNode } from "react";
import { change, get, serverNow } from "../lib/client";
import type { Role } from "../lib/types";
import { ago } from "../lib/time";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Choice, TextField } from "../ui/field";
import { Failure, Snippet, Waiting } from "../ui/notice";
import { Badge, Panel } from "../ui/panel";
import { Table } from "../ui/table";

interface Key {
  id: string;
  prefix: string;
  name: string;
  role: Role;
  state: "active" | "expired" | "revoked";
  created: string | null;
  expires: string | null;
  revoked: string | null;
  last_used: string | null;
  quota: number | null;
}

const TONES = { active: "good", expired: "warn", revoked: "plain" } as const;

/** API keys: make, see, revoke. */
export function Keys(): ReactNode {
  const client = useQueryClient();
  const { data, error, isPending, refetch } = useQuery({ queryKey: ["keys"], queryFn: ({ signal }) => get<{ keys: Key[] }>("/api/v1/keys", {}, signal) });
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState<Key | null>(null);
  const when = (text: string | null) => (text === null ? "–" : ago(text, serverNow()));
  return (
    <Panel
      flush
      title="API keys"
      actions={
        <Button small look="main" icon="plus" onClick={() => setMaking(true)}>
          New key
        </Button>
      }
    >
      {error && <Failure error={error} onRetry={() => void refetch()} />}
      {isPending && <Waiting />}
      {data && (
        <Table
          label="API keys"
          rows={[...data.keys].sort((a, b) => Number(b.state === "active") - Number(a.state === "active"))}
          rowKey={(key) => key.id}
          columns={[
            { name: "name", cell: (key) => <span className="font-medium wrap-break-word">{key.name}</span> },
            { name: "role", cell: (key) => key.role },
            { name: "state", cell: (key) => <Badge tone={TONES[key.state]}>{key.state}</Badge> },
            { name: "prefix", cell: (key) => <code className="font-mono">{key.prefix}</code>, wide: true },
            { name: "made", cell: (key) => when(key.created), right: true, wide: true },
            { name: "last used", cell: (key) => when(key.last_used), right: true },
            { name: "expires", cell: (key) => when(key.expires), right: true, wide: true },
            { name: "events a minute", cell: (key) => key.quota ?? "no limit", right: true, wide: true },
            {
              name: "",
              right: true,
              cell: (key) =>
                key.state === "active" && (
                  <Button small look="bad" onClick={() => setRevoking(key)}>
                    Revoke
                  </Button>
                ),
            },
          ]}
        />
      )}
      {making && <NewKey onClose={() => (setMaking(false), void client.invalidateQueries({ queryKey: ["keys"] }))} />}
      {revoking && <Revoke of={revoking} onClose={() => (setRevoking(null), void client.invalidateQueries({ queryKey: ["keys"] }))} />}
    </Panel>
  );
}

const ROLES = [
  ["ingest", "ingest: writes only"],
  ["viewer", "viewer: reads"],
  ["operator", "operator: and handles alerts"],
  ["admin", "admin: everything"],
] as const;

function NewKey({ onClose }: { onClose: () => void }): ReactNode {
  const [name, setName] = useState("");
  const [role, setRole] = useState("ingest");
  const [days, setDays] = useState("");
  const [error, setError] = useState<unknown>(null);
  const [made, setMade] = useState<string | null>(null);
  const create = async (event: FormEvent) => {
    event.preventDefault();
    setError(null);
    try {
      const body = { name: name.trim(), role, ...(days ? { expires_seconds: Number(days) * 86_400 } : {}) };
      setMade((await change<{ key: string }>("POST", "/api/v1/keys", body)).key);
    } catch (problem) {
      setError(problem);
    }
  };
  return (
    <Dialog title="New API key" onClose={onClose}>
      {made ? (
        <>
          <p className="font-medium">This is the only time it is shown.</p>
          <Snippet text={made} label={`${name}, ${role}`} />
        </>
      ) : (
        <form onSubmit={(event) => void create(event)} className="flex flex-col gap-3">
          <TextField label="Name" hint="Which service or person uses it" value={name} onChange={(event) => setName(event.target.value)} required autoFocus />
          <Choice label="Role" options={ROLES} value={role} onChange={(event) => setRole(event.target.value)} />
          <TextField label="Expires after days" hint="Empty: never" type="number" min="1" max="36500" value={days} onChange={(event) => setDays(event.target.value)} />
          {error !== null && <Failure error={error} />}
          <Button look="main" type="submit">
            Make the key
          </Button>
        </form>
      )}
    </Dialog>
  );
}

function Revoke({ of, onClose }: { of: Key; onClose: () => void }): ReactNode {
  const [error, setError] = useState<unknown>(null);
  const revoke = async () => {
    try {
      await change("DELETE", `/api/v1/keys/${encodeURIComponent(of.id)}`);
      onClose();
    } catch (problem) {
      setError(problem);
    }
  };
  return (
    <Dialog title={`Revoke ${of.name}?`} onClose={onClose}>
      <p>Whoever uses this key ({of.prefix}…, {of.role}) is refused within five seconds. It cannot be taken back.</p>
      {error !== null && <Failure error={error} />}
      <div className="mt-3 flex gap-2">
        <Button look="bad" onClick={() => void revoke()}>
          Revoke the key
        </Button>
        <Button onClick={onClose}>Keep it</Button>
      </div>
    </Dialog>
  );
}
