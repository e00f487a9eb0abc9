import type { ReactNode } from "react";
import type { Level } from "../lib/types";

const LOOKS: Record<Level, { short: string; text: string; bar: string }> = {
  TRACE: { short: "TRC", text: "text-debug", bar: "fill-bar-debug bg-bar-debug" },
  DEBUG: { short: "DBG", text: "text-debug", bar: "fill-bar-debug bg-bar-debug" },
  INFO: { short: "INF", text: "text-info", bar: "fill-bar-info bg-bar-info" },
  WARNING: { short: "WRN", text: "text-warn bg-warn-soft", bar: "fill-bar-warn bg-bar-warn" },
  ERROR: { short: "ERR", text: "text-bad bg-bad-soft", bar: "fill-bar-bad bg-bar-bad" },
  FATAL: { short: "FTL", text: "text-fatal bg-fatal-soft", bar: "fill-bar-fatal bg-bar-fatal" },
};

/** A level in three letters and its colour. */
export function LevelTag({ level }: { level: Level }): ReactNode {
  const look = LOOKS[level] ?? LOOKS.INFO;
  return (
    <span title={level} className={`inline-block w-9 shrink-0 rounded text-center font-mono text-2xs font-bold ${look.text}`}>
      {look.short}
    </span>
  );
}

/** The class that colours a bar or dot of this level. */
export function levelBar(level: string): string {
  return (LOOKS[level as Level] ?? LOOKS.INFO).bar;
}
