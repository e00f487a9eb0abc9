import { useState, type FormEvent, type ReactNode } from "react";
import { useChange } from "../lib/change";
import { useMay } from "../lib/session";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Choice, TextField } from "../ui/field";
import { Empty, Failure, Waiting } from "../ui/notice";
import { Badge, Panel } from "../ui/panel";
import { SureButton } from "../ui/sure";
import { Table } from "../ui/table";
import { useChannels, type Channel } from "./data";

interface Tested {
  delivered: boolean | null;
  said: string;
}

/** Where notifications go, with a button that proves it. */
export function Channels(): ReactNode {
  const { data, error, isPending, refetch } = useChannels();
  const may = useMay("admin");
  const [edited, setEdited] = useState<{ channel: Channel | null } | null>(null);
  const [tested, setTested] = useState<Record<string, Tested>>({});
  const { busy, error: refused, run } = useChange("alerts");
  const test = async (name: string) => {
    const answer = await run<Tested>("POST", `/api/v1/channels/${encodeURIComponent(name)}/test`);
    if (answer) setTested((before) => ({ ...before, [name]: answer }));
  };
  return (
    <Panel
      flush
      title="Channels"
      actions={
        may && (
          <Button small look="main" icon="plus" onClick={() => setEdited({ channel: null })}>
            New channel
          </Button>
        )
      }
    >
      {isPending && <Waiting />}
      {(error ?? refused) !== null && <Failure error={error ?? refused} onRetry={() => void refetch()} />}
      {data?.channels.length === 0 && <Empty title="Nobody is told of alerts yet">A channel is a mail address, a Slack webhook, or any webhook.</Empty>}
      {data && data.channels.length > 0 && (
        <Table
          label="Channels"
          rows={data.channels}
          rowKey={(one) => one.name}
          columns={[
            { name: "channel", cell: (one) => <span className="font-medium">{one.name}</span> },
            { name: "kind", cell: (one) => one.kind },
            {
              name: "state",
              cell: (one) => (
                <span className="inline-flex flex-wrap gap-1">
                  {one.problem ? <Badge tone="bad" title={one.problem}>{one.problem}</Badge> : <Badge tone={one.enabled ? "good" : "plain"}>{one.enabled ? "on" : "off"}</Badge>}
                  {one.default && <Badge tone="accent">default</Badge>}
                  {one.read_only && <Badge title="Set by the environment">environment</Badge>}
                </span>
              ),
            },
            { name: "last test", cell: (one) => <TestResult tested={tested[one.name]} /> },
            {
              name: "",
              right: true,
              cell: (one) =>
                may && (
                  <span className="inline-flex gap-1">
                    <Button small disabled={busy} onClick={() => void test(one.name)}>
                      Test
                    </Button>
                    {!one.read_only && (
                      <Button small onClick={() => setEdited({ channel: one })}>
                        Edit
                      </Button>
                    )}
                  </span>
                ),
            },
          ]}
        />
      )}
      {edited && <ChannelEditor channel={edited.channel} onClose={() => setEdited(null)} />}
    </Panel>
  );
}

function TestResult({ tested }: { tested: Tested | undefined }): ReactNode {
  if (!tested) return null;
  return (
    <span role="status" className={tested.delivered ? "text-good" : tested.delivered === false ? "text-bad" : "text-warn"}>
      {tested.delivered ? "delivered" : tested.delivered === false ? "not delivered" : "waits"}
      {tested.said && `: ${tested.said}`}
    </span>
  );
}

type Field = readonly [name: string, label: string, hint: string, secret?: boolean];

const FIELDS: Record<string, readonly Field[]> = {
  webhook: [
    ["url", "Address", "Where to POST"],
    ["secret", "Secret", "Signs the body; may be empty", true],
  ],
  slack: [["url", "Address", "Of the incoming webhook"]],
  email: [
    ["server", "Mail server", "smtp.example.com"],
    ["port", "Port", "587 if empty"],
    ["username", "User", "", false],
    ["password", "Password", "", true],
    ["from", "From", "monitoring@example.com"],
    ["to", "To", "Addresses, with commas"],
  ],
  apprise: [["url", "Address", "Any that apprise knows, like ntfy://topic", true]],
};

function configOf(kind: string, texts: Record<string, string>): Record<string, unknown> {
  const config: Record<string, unknown> = {};
  for (const [name] of FIELDS[kind] ?? []) {
    const text = texts[name]?.trim();
    if (!text) continue;
    config[name] = name === "port" ? Number(text) : name === "to" ? text.split(",").map((one) => one.trim()).filter(Boolean) : text;
  }
  return config;
}

function ChannelEditor({ channel, onClose }: { channel: Channel | null; onClose: () => void }): ReactNode {
  const [name, setName] = useState(channel?.name ?? "");
  const [kind, setKind] = useState(channel?.kind ?? "webhook");
  const [texts, setTexts] = useState<Record<string, string>>(Object.fromEntries(Object.entries(channel?.config ?? {}).map(([key, value]) => [key, Array.isArray(value) ? value.join(", ") : String(value)])));
  const [isDefault, setDefault] = useState(channel?.default ?? true);
  const [enabled, setEnabled] = useState(channel?.enabled ?? true);
  const { busy, error, run } = useChange("alerts");
  const path = `/api/v1/channels/${encodeURIComponent(name)}`;
  const save = async (event: FormEvent) => {
    event.preventDefault();
    const config = { ...(channel?.config ?? {}), ...configOf(kind, texts) }; // what is masked goes back as it came, and stays
    const body = { kind, config, default: isDefault, enabled };
    const done = channel ? await run("PUT", path, body) : await run("POST", "/api/v1/channels", { name: name.trim(), ...body });
    if (done !== undefined) onClose();
  };
  const remove = async () => {
    if ((await run("DELETE", path)) !== undefined) onClose();
  };
  return (
    <Dialog title={channel ? channel.name : "New channel"} onClose={onClose}>
      <form onSubmit={(event) => void save(event)} className="flex flex-col gap-3">
        <TextField label="Name" hint="Rules refer to it" value={name} onChange={(event) => setName(event.target.value)} readOnly={channel !== null} required />
        <Choice label="Kind" options={Object.keys(FIELDS).map((one) => [one, one] as const)} value={kind} disabled={channel !== null} onChange={(event) => setKind(event.target.value)} />
        {FIELDS[kind]?.map(([field, label, hint, secret]) => (
          <TextField key={field} label={label} hint={hint} type={secret ? "password" : "text"} autoComplete={secret ? "new-password" : "off"} value={texts[field] ?? ""} onChange={(event) => setTexts({ ...texts, [field]: event.target.value })} />
        ))}
        <label className="flex items-center gap-2">
          <input type="checkbox" checked={isDefault} onChange={(event) => setDefault(event.target.checked)} /> Rules that name no channel use it
        </label>
        <label className="flex items-center gap-2">
          <input type="checkbox" checked={enabled} onChange={(event) => setEnabled(event.target.checked)} /> It is on
        </label>
        {error !== null && <Failure error={error} />}
        <div className="flex gap-2">
          <Button look="main" type="submit" disabled={busy}>
            Save
          </Button>
          {channel && (
            <SureButton question="Remove it for good?" disabled={busy} onSure={() => void remove()}>
              Remove
            </SureButton>
          )}
        </div>
      </form>
    </Dialog>
  );
}
