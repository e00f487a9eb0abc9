import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { address, get } from "../lib/client";
import type { Json } from "../lib/types";
import { formatFull } from "../lib/time";
import { useRange, useTyped } from "../lib/url";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Find } from "../ui/field";
import { Empty, Failure, Snippet, Waiting } from "../ui/notice";
import { Badge, Panel } from "../ui/panel";
import { Table } from "../ui/table";

interface Entry {
  id: number;
  at: string;
  actor: string;
  action: string;
  object: string;
  address: string;
  request_id: string;
  before: Json;
  after: Json;
}

interface Page {
  entries: Entry[];
  next_before: number | null;
}

/** What was changed, by whom, and what it was before. */
export function AuditLog(): ReactNode {
  const { zone } = useRange();
  const [query, setQuery] = useTyped("find");
  const [open, setOpen] = useState<Entry | null>(null);
  const { data, error, isPending, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery({
    queryKey: ["audit", query],
    queryFn: ({ pageParam, signal }) => get<Page>("/api/v1/audit", { query, before: pageParam || undefined, limit: 100 }, signal),
    initialPageParam: 0,
    getNextPageParam: (last) => last.next_before ?? undefined,
    placeholderData: keepPreviousData,
  });
  const entries = data?.pages.flatMap((page) => page.entries) ?? [];
  return (
    <Panel
      flush
      title="Audit log"
      actions={
        <>
          <Find label="Find in the audit log" value={query} onChange={setQuery} />
          <a className="rounded-md px-2 py-1 text-xs font-medium text-soft hover:bg-raised" href={address("/api/v1/audit/export", { query })} download>
            Export
          </a>
        </>
      }
    >
      {error && <Failure error={error} onRetry={() => void refetch()} />}
      {isPending && <Waiting lines={6} />}
      {data && entries.length === 0 && <Empty title="No entries" />}
      {entries.length > 0 && (
        <Table
          label="Audit log"
          rows={entries}
          rowKey={(one) => String(one.id)}
          columns={[
            { name: "when", cell: (one) => <span className="whitespace-nowrap tabular-nums">{formatFull(one.at, zone).slice(0, 19)}</span> },
            { name: "who", cell: (one) => <span className="wrap-break-word">{one.actor}</span> },
            { name: "did", cell: (one) => <Badge tone={one.action.startsWith("auth.") ? "warn" : "plain"}>{one.action}</Badge> },
            { name: "to", cell: (one) => <span className="wrap-break-word">{one.object}</span>, wide: true },
            { name: "from", cell: (one) => one.address, wide: true },
            {
              name: "",
              right: true,
              cell: (one) => (
                <Button small onClick={() => setOpen(one)}>
                  Details
                </Button>
              ),
            },
          ]}
        />
      )}
      {hasNextPage && (
        <div className="border-t border-line p-2 text-center">
          <Button disabled={isFetchingNextPage} onClick={() => void fetchNextPage()}>
            Older entries
          </Button>
        </div>
      )}
      {open && (
        <Dialog wide title={`${open.action} ${open.object}`} onClose={() => setOpen(null)}>
          <p className="text-soft">
            {open.actor} from {open.address || "this machine"}, {formatFull(open.at, zone)}, request {open.request_id || "–"}
          </p>
          <Snippet label="Before" text={JSON.stringify(open.before, null, 2)} />
          <Snippet label="After" text={JSON.stringify(open.after, null, 2)} />
        </Dialog>
      )}
    </Panel>
  );
}
