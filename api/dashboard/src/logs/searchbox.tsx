import { useQuery } from "@tanstack/react-query";
import { useEffect, useId, useRef, useState, type KeyboardEvent, type ReactNode } from "react";
import { ApiError, get } from "../lib/client";
import { KNOWN_FIELDS, valueText, writingAt, type Writing } from "../lib/query";
import type { Range } from "../lib/time";
import type { Facets } from "../lib/types";
import { Icon } from "../ui/icons";

interface Props {
  query: string;
  range: Range;
  attributes: readonly string[];
  error: unknown;
  onSearch: (query: string) => void;
}

const MOST = 12;

/** The search box: completes fields and values, and shows where a query is wrong. */
export function SearchBox({ query, range, attributes, error, onSearch }: Props): ReactNode {
  const [text, setText] = useState(query);
  const [cursor, setCursor] = useState(query.length);
  const [open, setOpen] = useState(false);
  const [chosen, setChosen] = useState(-1);
  const input = useRef<HTMLInputElement>(null);
  const id = useId();
  useEffect(() => setText(query), [query]);
  const writing = writingAt(text, cursor);
  const offers = useOffers(writing, range, attributes, open);
  const wrong = error instanceof ApiError && error.field === "query" && text === query ? error : null;

  const take = (offer: string) => {
    const next = text.slice(0, writing.begin) + offer + text.slice(cursor).replace(/^[^\s)]*/, "");
    const end = writing.begin + offer.length;
    setText(next);
    setCursor(end);
    setChosen(-1);
    requestAnimationFrame(() => {
      input.current?.focus();
      input.current?.setSelectionRange(end, end);
    });
  };
  const search = () => {
    setOpen(false);
    setChosen(-1);
    onSearch(text.trim());
  };
  const key = (event: KeyboardEvent) => {
    const visible = open && offers.length > 0;
    if (event.key === "ArrowDown" && visible) setChosen((chosen + 1) % offers.length);
    else if (event.key === "ArrowUp" && visible) setChosen((chosen - 1 + offers.length) % offers.length);
    else if ((event.key === "Enter" || event.key === "Tab") && visible && chosen >= 0) take(offers[chosen]!.text);
    else if (event.key === "Enter") return search();
    else if (event.key === "Escape") {
      if (!visible) input.current?.blur();
      return setOpen(false);
    } else return;
    event.preventDefault();
  };
  return (
    <div className="relative min-w-0 flex-1">
      <div className={`flex h-9 items-center gap-2 rounded-md border bg-panel px-2.5 focus-within:border-accent ${wrong ? "border-bad" : "border-line"}`}>
        <span className="text-soft">
          <Icon name="search" />
        </span>
        <input
          ref={input}
          id="search"
          role="combobox"
          aria-label="Search logs"
          aria-expanded={open && offers.length > 0}
          aria-controls={`${id}-offers`}
          aria-activedescendant={chosen >= 0 ? `${id}-${chosen}` : undefined}
          aria-autocomplete="list"
          aria-invalid={wrong ? true : undefined}
          aria-describedby={wrong ? `${id}-wrong` : undefined}
          placeholder="Search: words, level:error, service:api, duration_ms:>500 …"
          className="h-full min-w-0 flex-1 bg-transparent font-mono text-xs outline-none placeholder:font-sans"
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          enterKeyHint="search"
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            setCursor(event.target.selectionStart ?? event.target.value.length);
            setOpen(true);
            setChosen(-1);
          }}
          onSelect={(event) => setCursor(event.currentTarget.selectionStart ?? 0)}
          onKeyDown={key}
          onBlur={() => setOpen(false)}
        />
        {text && (
          <button type="button" aria-label="Clear the search" className="text-soft hover:text-ink" onClick={() => (setText(""), onSearch(""))}>
            <Icon name="close" size={14} />
          </button>
        )}
        <kbd className="rounded border border-line px-1 font-mono text-2xs text-soft max-sm:hidden">/</kbd>
      </div>
      {open && offers.length > 0 && (
        <ul id={`${id}-offers`} role="listbox" aria-label="Completions" className="absolute z-30 mt-1 max-h-80 w-full max-w-md overflow-auto rounded-lg border border-line bg-panel p-1 shadow-xl">
          {offers.map((offer, at) => (
            <li
              key={offer.text}
              id={`${id}-${at}`}
              role="option"
              aria-selected={at === chosen}
              onPointerDown={(event) => (event.preventDefault(), take(offer.text))}
              className={`flex cursor-pointer justify-between gap-3 rounded px-2 py-1 font-mono text-xs ${at === chosen ? "bg-accent-soft text-accent" : "hover:bg-raised"}`}
            >
              <span className="truncate">{offer.text}</span>
              <span className="shrink-0 font-sans text-2xs text-soft">{offer.note}</span>
            </li>
          ))}
        </ul>
      )}
      {wrong && (
        <div id={`${id}-wrong`} role="alert" className="mt-1 rounded-md bg-bad-soft px-2.5 py-1.5 text-xs">
          {wrong.column > 0 && (
            <pre className="mb-0.5 overflow-x-auto font-mono text-xs leading-4" aria-hidden="true">
              {query}
              {"\n"}
              {" ".repeat(Math.max(0, wrong.column - 1))}
              <span className="font-bold text-bad">^</span>
            </pre>
          )}
          <p>
            <span className="font-semibold text-bad">{wrong.message}</span>
            {wrong.fix && <span className="text-soft"> — {wrong.fix}</span>}
          </p>
        </div>
      )}
    </div>
  );
}

interface Offer {
  text: string;
  note: string;
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
