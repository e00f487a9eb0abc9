import { useIsFetching, useQueryClient, type Query } from "@tanstack/react-query";
import { useSyncExternalStore, type ReactNode } from "react";
import { inWords } from "../lib/client";
import { usePreference } from "../lib/preferences";
import { clock, type Zone } from "../lib/time";
import { useRange } from "../lib/url";
import { Button } from "../ui/button";
import { Menu, MenuItem } from "../ui/menu";

const CHOICES = ["0", "5", "10", "30", "60"];

/** How often, now, and whether what is shown is older than it should be. */
export function RefreshControl(): ReactNode {
  const client = useQueryClient();
  const [seconds, setSeconds] = usePreference("refresh");
  const { zone } = useRange();
  const fetching = useIsFetching() > 0;
  return (
    <div className="flex items-center gap-1">
      <Stale zone={zone} />
      <span className={fetching ? "[&_svg]:animate-spin" : ""}>
        <Button look="quiet" icon="refresh" title="Refresh now (R)" onClick={() => void client.invalidateQueries()} />
      </span>
      <Menu label={seconds === "0" ? "Off" : `${seconds} s`} title="Refresh by itself" look="quiet" align="right" width="min-w-40">
        {(close) =>
          CHOICES.map((value) => (
            <MenuItem key={value} on={value === seconds} onClick={() => (setSeconds(value), close())}>
              {value === "0" ? "No refresh by itself" : `Every ${value} seconds`}
            </MenuItem>
          ))
        }
      </Menu>
    </div>
  );
}

function failed(queries: Query[]): { since: number; error: unknown } | null {
  const old = queries.filter((query) => query.isActive() && query.state.data !== undefined && query.state.error !== null);
  const first = old.sort((a, b) => a.state.dataUpdatedAt - b.state.dataUpdatedAt)[0];
  return first ? { since: first.state.dataUpdatedAt, error: first.state.error } : null;
}

function Stale({ zone }: { zone: Zone }): ReactNode {
  const cache = useQueryClient().getQueryCache();
  const text = useSyncExternalStore(
    (listener) => cache.subscribe(listener),
    () => {
      const found = failed(cache.getAll());
      return found ? `${clock(found.since, zone)}\n${inWords(found.error).text}` : "";
    },
  );
  if (!text) return null;
  const [since, why] = text.split("\n");
  return (
    <span role="status" title={`Refreshing fails: ${why}`} className="rounded bg-warn-soft px-1.5 py-0.5 text-2xs font-semibold whitespace-nowrap text-warn">
      <span className="max-sm:sr-only">Stale: as of </span>
      {since}
    </span>
  );
}
