import { useQuery } from "@tanstack/react-query";
import { useState, type FormEvent, type ReactNode } from "react";
import { ApiError, get } from "../lib/client";
import { useChange } from "../lib/change";
import { useMay } from "../lib/session";
import { DAY, LogPreview } from "../logs/preview";
import { SearchBox } from "../logs/searchbox";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Choice, TextField } from "../ui/field";
import { Empty, Failure, Waiting } from "../ui/notice";
import { Badge, Panel } from "../ui/panel";
import { SureButton } from "../ui/sure";
import { Table } from "../ui/table";

interface Derived {
  name: string;
  kind: "counter" | "histogram";
  query: string;
  field?: string;
  labels: string[];
  bounds?: number[];
  help: string;
  source: string;
  changed_by: string | null;
}

const KINDS = [
  ["counter", "counter: how many, or a field added up"],
  ["histogram", "histogram: how a field is distributed"],
] as const;

/** Metrics that are counted out of log events. */
export function DerivedMetrics({ onExplore }: { onExplore: (name: string, kind: string) => void }): ReactNode {
  const { data, error, isPending, refetch } = useQuery({ queryKey: ["derived"], queryFn: ({ signal }) => get<{ derived_metrics: Derived[]; errors: string[] }>("/api/v1/derived-metrics", {}, signal) });
  const may = useMay("operator");
  const [edited, setEdited] = useState<{ metric: Derived | null } | null>(null);
  const all = data?.derived_metrics ?? [];
  return (
    <Panel
      flush
      title="Metrics from logs"
      actions={
        may && (
          <Button small look="main" icon="plus" onClick={() => setEdited({ metric: null })}>
            New metric
          </Button>
        )
      }
    >
      {isPending && <Waiting />}
      {error && <Failure error={error} onRetry={() => void refetch()} />}
      {data?.errors.map((one) => (
        <p key={one} role="alert" className="bg-bad-soft px-3 py-1.5">
          {one}
        </p>
      ))}
      {data && all.length === 0 && <Empty title="No metric is derived from logs">A search becomes a counter or a histogram: what matches is counted when it is stored, and charts and rules over months need not search again.</Empty>}
      {all.length > 0 && (
        <Table
          label="Metrics from logs"
          rows={all}
          rowKey={(one) => one.name}
          columns={[
            {
              name: "metric",
              cell: (one) => (
                <>
                  <span className="font-mono font-medium wrap-anywhere">{one.name}</span>
                  {one.help && <span className="block text-2xs text-soft">{one.help}</span>}
                </>
              ),
            },
            { name: "kind", cell: (one) => <Badge>{one.kind}</Badge> },
            { name: "of", cell: (one) => <span className="font-mono wrap-anywhere">{`${one.query || "all events"}${one.field ? ` → ${one.field}` : ""}`}</span> },
            { name: "by", cell: (one) => one.labels.join(", ") || "–", wide: true },
            { name: "from", cell: (one) => (one.source === "file" ? "the file" : (one.changed_by ?? "")), wide: true },
            {
              name: "",
              right: true,
              cell: (one) => (
                <span className="inline-flex gap-1">
                  <Button small icon="explore" title={`Chart of ${one.name}`} onClick={() => onExplore(one.name, one.kind)} />
                  {may && one.source !== "file" && (
                    <Button small onClick={() => setEdited({ metric: one })}>
                      Edit
                    </Button>
                  )}
                </span>
              ),
            },
          ]}
        />
      )}
      {edited && <Editor metric={edited.metric} onClose={() => setEdited(null)} />}
    </Panel>
  );
}

function list(text: string): string[] {
  return text.split(",").map((one) => one.trim()).filter(Boolean);
}

function Editor({ metric, onClose }: { metric: Derived | null; onClose: () => void }): ReactNode {
  const { busy, error, run } = useChange("derived");
  const [name, setName] = useState(metric?.name ?? "");
  const [kind, setKind] = useState<Derived["kind"]>(metric?.kind ?? "counter");
  const [query, setQuery] = useState(metric?.query ?? "");
  const [field, setField] = useState(metric?.field ?? "");
  const [labels, setLabels] = useState(metric?.labels.join(", ") ?? "");
  const [bounds, setBounds] = useState(metric?.bounds?.join(", ") ?? "");
  const [help, setHelp] = useState(metric?.help ?? "");
  const problem = (of: string) => (error instanceof ApiError && error.field === of ? `${error.message}${error.fix ? `: ${error.fix}` : ""}` : undefined);
  const path = `/api/v1/derived-metrics/${encodeURIComponent(name.trim())}`;
  const save = async (event: FormEvent) => {
    event.preventDefault();
    const body = { kind, query, labels: list(labels), help, ...(field.trim() && { field: field.trim() }), ...(kind === "histogram" && bounds.trim() && { bounds: list(bounds).map(Number) }) };
    const done = metric ? await run("PUT", path, body) : await run("POST", "/api/v1/derived-metrics", { name: name.trim(), ...body });
    if (done !== undefined) onClose();
  };
  const remove = async () => {
    if ((await run("DELETE", path)) !== undefined) onClose();
  };
  return (
    <Dialog wide title={metric?.name ?? "New metric from logs"} onClose={onClose}>
      <form onSubmit={(event) => void save(event)} className="flex flex-col gap-3">
        <div className="grid gap-3 sm:grid-cols-2">
          <TextField label="Name" placeholder="slow_requests_total" value={name} onChange={(event) => setName(event.target.value)} problem={problem("name")} readOnly={metric !== null} required />
          <Choice label="Kind" options={KINDS} value={kind} onChange={(event) => setKind(event.target.value as Derived["kind"])} />
        </div>
        <SearchBox query={query} range={DAY} attributes={[]} error={error} onSearch={setQuery} inForm />
        <div className="grid gap-3 sm:grid-cols-3">
          <TextField label="Field" hint={kind === "counter" ? "Empty: events are counted" : "A number, like duration_ms"} value={field} onChange={(event) => setField(event.target.value)} problem={problem("field")} required={kind === "histogram"} />
          <TextField label="Labels" hint="Fields, like service, route" value={labels} onChange={(event) => setLabels(event.target.value)} problem={problem("labels")} />
          {kind === "histogram" && <TextField label="Bounds" hint="Rising; empty: 0.005 to 10" value={bounds} onChange={(event) => setBounds(event.target.value)} problem={problem("bounds")} />}
        </div>
        <TextField label="Help" hint="What it says" value={help} onChange={(event) => setHelp(event.target.value)} />
        <LogPreview query={query} />
        <p className="text-2xs text-soft">Counted from now on, give or take a second; what was stored before is not.</p>
        {error !== null && <Failure error={error} />}
        <div className="flex flex-wrap gap-2">
          <Button type="submit" look="main" disabled={busy}>
            Save
          </Button>
          {metric && (
            <SureButton question="Derive it no more?" disabled={busy} onSure={() => void remove()}>
              Remove
            </SureButton>
          )}
        </div>
      </form>
    </Dialog>
  );
}
