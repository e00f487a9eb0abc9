import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { get } from "../lib/client";
import { useMetadata, useNames } from "../lib/prom";
import { CompletingInput, type Offer } from "../ui/completing";

const FUNCTIONS = ["rate", "increase", "irate", "sum", "avg", "max", "min", "count", "topk", "bottomk", "histogram_quantile", "quantile", "avg_over_time", "max_over_time", "min_over_time", "sum_over_time", "last_over_time", "delta", "deriv", "predict_linear", "abs", "clamp_max", "clamp_min", "label_replace", "absent", "time", "by", "without", "offset"];
const MOST = 14;

export type PromWriting = { kind: "name"; text: string; begin: number } | { kind: "label"; text: string; begin: number; metric: string } | { kind: "value"; text: string; begin: number; metric: string; label: string };

/** What is being written at the cursor of a PromQL expression. */
export function promWritingAt(text: string, cursor: number): PromWriting {
  const before = text.slice(0, cursor);
  const word = /[\w:.-]*$/.exec(before)![0];
  const begin = cursor - word.length;
  const brace = before.lastIndexOf("{");
  if (brace < 0 || before.lastIndexOf("}") > brace) {
    const grouped = /\b(?:by|without|on|ignoring)\s*\(([^)]*)$/.test(before);
    return grouped ? { kind: "label", text: word, begin, metric: "" } : { kind: "name", text: word, begin };
  }
  const metric = /[\w:]*$/.exec(before.slice(0, brace))![0];
  const value = /([\w]+)\s*(?:=~|!~|!=|=)\s*"([^"]*)$/.exec(before.slice(brace));
  if (value) return { kind: "value", text: value[2]!, begin: cursor - value[2]!.length, metric, label: value[1]! };
  return { kind: "label", text: word, begin, metric };
}

const OPENING: Record<string, string> = { parenthesis: "(", brace: "{", bracket: "[" };

/** Where an expression is wrong, as the parser's words tell: the column from 1; 0 where they do not. */
export function columnOf(expr: string, message: string): number {
  const unclosed = /unclosed (?:left )?(parenthesis|brace|bracket)/.exec(message);
  if (unclosed) return lastOpen(expr, OPENING[unclosed[1]!]!) + 1;
  if (/unterminated quoted string/.test(message)) return Math.max(expr.lastIndexOf('"'), expr.lastIndexOf("'"), expr.lastIndexOf("`")) + 1;
  if (/inside brackets/.test(message)) {
    const from = expr.lastIndexOf("[") + 1;
    const at = /[^\w:.\s]/.exec(expr.slice(from))?.index ?? -1;
    return from > 0 && at >= 0 ? from + at + 1 : 0;
  }
  const named = /['"]([^'"]+)['"]/.exec(message.replace(/^.*?parse error: /, ""))?.[1];
  if (!named) return 0;
  const first = expr.indexOf(named);
  return first >= 0 && (first === expr.lastIndexOf(named) || /^\w{2,}$/.test(named)) ? first + 1 : 0;
}

/** Where the last bracket of a kind stands that nothing closes; strings are left out. -1: there is none. */
function lastOpen(expr: string, sign: string): number {
  const open: number[] = [];
  const closing = { "(": ")", "{": "}", "[": "]" }[sign];
  let quote = "";
  for (let at = 0; at < expr.length; at += 1) {
    const here = expr[at]!;
    if (quote) {
      if (here === "\\" && quote !== "`") at += 1;
      else if (here === quote) quote = "";
    } else if (/["'`]/.test(here)) quote = here;
    else if (here === sign) open.push(at);
    else if (here === closing) open.pop();
  }
  return open.at(-1) ?? -1;
}

/** A PromQL expression, completed while it is written. */
export function ExpressionBox({ label, value, wrong, onSubmit, id, inForm = false }: { id?: string; label: string; value: string; wrong: string | null; onSubmit: (text: string) => void; inForm?: boolean }): ReactNode {
  return (
    <CompletingInput
      id={id}
      label={label}
      icon="explore"
      placeholder="PromQL: rate(http_server_request_duration_seconds_count[5m])"
      value={value}
      wrong={wrong === null ? null : { message: wrong, fix: "", column: columnOf(value, wrong) }}
      onLeave={inForm}
      onSubmit={(text) => onSubmit(text.trim())}
      useOffers={(text, cursor, open) => {
        const writing = promWritingAt(text, cursor);
        return { begin: writing.begin, offers: useOffers(writing, open) };
      }}
    />
  );
}

function useOffers(writing: PromWriting, open: boolean): Offer[] {
  const names = useNames();
  const metadata = useMetadata();
  const metric = writing.kind === "name" ? "" : writing.metric;
  const label = writing.kind === "value" ? writing.label : "";
  const path = label ? `/prometheus/api/v1/label/${encodeURIComponent(label)}/values` : "/prometheus/api/v1/labels";
  const found = useQuery({
    queryKey: ["prom", path, metric],
    queryFn: async ({ signal }) => (await get<{ data: string[] }>(path, { "match[]": metric || undefined }, signal)).data,
    enabled: open && writing.kind !== "name",
    staleTime: 60_000,
    retry: false,
  });
  if (!open) return [];
  const typed = writing.text.toLowerCase();
  if (writing.kind !== "name") return best(found.data ?? [], typed).map((text) => ({ text, note: "" }));
  if (typed === "") return [];
  const help = (name: string) => (metadata.data?.[name] ?? metadata.data?.[name.replace(/_(total|bucket|sum|count)$/, "")])?.[0]?.help ?? "";
  return best([...(names.data ?? []), ...FUNCTIONS], typed).map((text) => ({ text, note: FUNCTIONS.includes(text) ? "function" : help(text) }));
}

function best(all: readonly string[], typed: string): string[] {
  const matching = all.filter((one) => one.toLowerCase().includes(typed) && one.toLowerCase() !== typed);
  return matching.sort((a, b) => Number(b.toLowerCase().startsWith(typed)) - Number(a.toLowerCase().startsWith(typed))).slice(0, MOST);
}
