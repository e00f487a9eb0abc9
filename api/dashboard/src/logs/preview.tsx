import type { ReactNode } from "react";
import { serverNow } from "../lib/client";
import { several } from "../lib/format";
import { useRange } from "../lib/url";
import { useHistogram } from "./data";
import { Histogram } from "./histogram";

export const DAY = { start: "-24h", end: "now" };

/** What a search finds over the last day: for who writes a rule or a metric on it. */
export function LogPreview({ query }: { query: string }): ReactNode {
  const { zone } = useRange();
  const { data } = useHistogram({ query, range: DAY }, 96);
  if (!data) return null;
  return (
    <div className="rounded-lg border border-line p-2">
      <p className="mb-1 text-2xs text-soft">{several(data.buckets.reduce((sum, one) => sum + one.total, 0), "line")} matched in the last day</p>
      <Histogram answer={data} zone={zone} now={serverNow()} onZoom={() => undefined} height="h-16" />
    </div>
  );
}
