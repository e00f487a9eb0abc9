import type { ReactNode } from "react";
import { count } from "../lib/format";
import { ago, type Zone } from "../lib/time";
import { formatFull } from "../lib/time";
import { LEVELS } from "../lib/types";
import { levelBar } from "../ui/level";
import { Empty, Failure, Waiting } from "../ui/notice";
import { usePatterns, type Asked } from "./data";

/** The query that finds events of a template: its fixed words, one behind the other. */
export function queryOf(template: string): string {
  const parts = template
    .split("<*>")
    .map((part) => part.trim())
    .filter((part) => /[\p{L}\p{N}]/u.test(part));
  return parts.map((part) => `message:"${part.replace(/[\\"]/g, (sign) => `\\${sign}`)}"`).join(" ");
}

/** Similar messages folded to templates: what is said at all, and how often. */
export function Patterns({ asked, zone, now, onTerm }: { asked: Asked; zone: Zone; now: number; onTerm: (one: string) => void }): ReactNode {
  const { data, error, isPending, refetch } = usePatterns(asked);
  if (isPending) return <Waiting lines={9} />;
  if (!data) return <div className="p-3">{error && <Failure error={error} onRetry={() => void refetch()} />}</div>;
  if (data.patterns.length === 0) return <Empty title="No events, no patterns" />;
  const top = Math.max(...data.patterns.map((one) => one.count));
  return (
    <div className="h-full overflow-auto" tabIndex={0} role="region" aria-label="Patterns">
      <p className="px-3 py-1.5 text-2xs text-soft">
        {count(data.distinct)} patterns in {count(data.events)} events{data.sampled && ", the newest ones only"}
      </p>
      <ul>
        {data.patterns.map((one) => (
          <li key={one.template} className="flex gap-3 border-t border-line px-3 py-1.5 hover:bg-raised">
            <div className="w-20 shrink-0 text-right">
              <p className="font-semibold tabular-nums">{count(one.count)}</p>
              <span aria-hidden="true" className="mt-1 ml-auto flex h-1 overflow-hidden rounded-full" style={{ width: `${Math.max(4, (one.count / top) * 100)}%` }}>
                {LEVELS.map((level) => (one.levels[level] ? <span key={level} className={levelBar(level)} style={{ flexGrow: one.levels[level] }} /> : null))}
              </span>
            </div>
            <div className="min-w-0 flex-1">
              <button type="button" title="Look for these" onClick={() => onTerm(queryOf(one.template))} className="text-left font-mono text-xs wrap-anywhere hover:text-accent">
                {one.template.split("<*>").map((part, at) => (
                  <span key={at}>
                    {at > 0 && <span className="rounded bg-accent-soft px-0.5 text-accent">∗</span>}
                    {part}
                  </span>
                ))}
              </button>
              <p className="text-2xs text-soft">
                {Object.keys(one.services).slice(0, 4).join(", ")} · <span title={formatFull(one.last_seen, zone)}>last {ago(one.last_seen, now)}</span> · <span title={formatFull(one.first_seen, zone)}>first {ago(one.first_seen, now)}</span>
              </p>
            </div>
          </li>
        ))}
      </ul>
    </div>
  );
}
