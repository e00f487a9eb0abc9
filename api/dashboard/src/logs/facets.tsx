import type { ReactNode } from "react";
import { count } from "../lib/format";
import { term, terms } from "../lib/query";
import type { Facet, Facets as Answer } from "../lib/types";
import { Button } from "../ui/button";
import { levelBar } from "../ui/level";

interface Props {
  answer: Answer | undefined;
  query: string;
  onTerm: (one: string) => void;
}

/** The commonest values of fields; a click looks for them, the minus leaves them out. */
export function FacetList({ answer, query, onTerm }: Props): ReactNode {
  return (
    <div className="flex flex-col gap-4 p-3">
      {answer?.facets.filter((facet) => facet.values.length > 0).map((facet) => <FacetValues key={facet.field} facet={facet} query={query} onTerm={onTerm} />)}
    </div>
  );
}

function FacetValues({ facet, query, onTerm }: { facet: Facet; query: string; onTerm: (one: string) => void }): ReactNode {
  const standing = terms(query);
  const top = Math.max(1, ...facet.values.map((one) => one.count));
  return (
    <section>
      <h3 className="mb-1 flex justify-between text-2xs font-semibold text-soft">
        <span>{facet.field}</span>
        {facet.sampled && <span title="Counted over the newest 20,000 events that match">sampled</span>}
      </h3>
      <ul>
        {facet.values.map(({ value, count: size }) => {
          const text = facet.field === "level" ? `level:${value.toLowerCase()}` : term(facet.field, value);
          const on = standing.includes(text);
          return (
            <li key={value} className="group relative flex items-center rounded hover:bg-raised">
              <span aria-hidden="true" className={`absolute bottom-0 left-1.5 h-0.5 rounded-full ${facet.field === "level" ? levelBar(value) : "bg-bar-info"}`} style={{ width: `max(3px, calc(${(size / top) * 100}% - 0.75rem))` }} />
              <button type="button" aria-pressed={on} title={`${value || "(empty)"}: look for it`} onClick={() => onTerm(text)} className={`flex h-7 min-w-0 flex-1 items-center justify-between gap-2 px-1.5 text-left ${on ? "font-semibold text-accent" : ""}`}>
                <span className="truncate">{facet.field === "level" ? value.toLowerCase() : value || "(empty)"}</span>
                <span className="text-2xs text-soft tabular-nums">{count(size)}</span>
              </button>
              <span className="absolute right-0 rounded bg-raised opacity-0 group-hover:opacity-100 focus-within:opacity-100 max-lg:static max-lg:bg-transparent max-lg:opacity-100">
                <Button small look="quiet" icon="minus" title={`Leave out ${value}`} onClick={() => onTerm(`-${text}`)} />
              </span>
            </li>
          );
        })}
      </ul>
      {facet.distinct > facet.values.length && <p className="px-1.5 text-2xs text-soft">{count(facet.distinct - facet.values.length)} more values</p>}
    </section>
  );
}
