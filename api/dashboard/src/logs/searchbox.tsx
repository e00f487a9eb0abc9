import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { ApiError, get } from "../lib/client";
import { KNOWN_FIELDS, valueText, writingAt, type Writing } from "../lib/query";
import type { Range } from "../lib/time";
import type { Facets } from "../lib/types";
import { CompletingInput, type Offer } from "../ui/completing";

interface Props {
  query: string;
  range: Range;
  attributes: readonly string[];
  error: unknown;
  onSearch: (query: string) => void;
  /** In a form: leaving the field submits it, and no key leads here. */
  inForm?: boolean;
}

const MOST = 12;

/** The search box: completes fields and values, and shows where a query is wrong. */
export function SearchBox({ query, range, attributes, error, onSearch, inForm = false }: Props): ReactNode {
  const wrong = error instanceof ApiError && error.field === "query" ? error : null;
  return (
    <CompletingInput
      id={inForm ? undefined : "search"}
      onLeave={inForm}
      label="Search logs"
      icon="search"
      shortcut={inForm ? undefined : "/"}
      placeholder="Search: words, level:error, service:api, duration_ms:>500 …"
      value={query}
      wrong={wrong && { message: wrong.message, fix: wrong.fix, column: wrong.column }}
      onSubmit={(text) => onSearch(text.trim())}
      useOffers={(text, cursor, open) => {
        const writing = writingAt(text, cursor);
        return { begin: writing.begin, offers: useOffers(writing, range, attributes, open) };
      }}
    />
  );
}

const LEVEL_NAMES = ["trace", "debug", "info", "warning", "error", "fatal"];

function useOffers(writing: Writing, range: Range, attributes: readonly string[], open: boolean): Offer[] {
  const field = writing.kind === "value" ? writing.field : "";
  const asked = open && field !== "" && field !== "level" && field !== "has" && field !== "message" && field !== "exception";
  const { data } = useQuery({
    queryKey: ["logs", "values", field, range.start, range.end],
    queryFn: ({ signal }) => get<Facets>("/api/v1/logs/facets", { fields: field, limit: 200, start: range.start, end: range.end }, signal),
    enabled: asked,
    staleTime: 60_000,
    retry: false,
  });
  if (!open) return [];
  const typed = writing.text.toLowerCase();
  const names = [...KNOWN_FIELDS.map((name) => ({ text: name, note: "field" })), ...attributes.filter((name) => !KNOWN_FIELDS.includes(name)).map((name) => ({ text: name, note: "attribute" }))];
  if (writing.kind === "name") {
    if (!typed) return [];
    const shown = [...names, { text: "has", note: "has this field" }].filter((one) => one.text.toLowerCase().includes(typed));
    shown.sort((a, b) => Number(b.text.toLowerCase().startsWith(typed)) - Number(a.text.toLowerCase().startsWith(typed)));
    return shown.slice(0, MOST).map((one) => ({ ...one, text: `${one.text}:` }));
  }
  if (field === "level") {
    const compared = [...LEVEL_NAMES, ">=warning", ">=error"];
    return compared.filter((name) => name.includes(typed)).map((name) => ({ text: name, note: "" }));
  }
  if (field === "has") return names.filter((one) => one.text.includes(typed)).slice(0, MOST);
  const values = data?.facets[0]?.values ?? [];
  return values
    .filter((one) => one.value.toLowerCase().includes(typed) && one.value !== "")
    .slice(0, MOST)
    .map((one) => ({ text: valueText(one.value), note: String(one.count) }));
}
