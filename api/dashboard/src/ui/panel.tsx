import { useEffect, useRef, type ReactNode } from "react";

/** A framed part of a page with a heading. */
export function Panel({ title, actions, children, className = "", flush = false }: { title?: ReactNode; actions?: ReactNode; children: ReactNode; className?: string; flush?: boolean }): ReactNode {
  return (
    <section className={`min-w-0 rounded-lg border border-line bg-panel ${className}`}>
      {(title || actions) && (
        <header className="flex min-h-9 flex-wrap items-center justify-between gap-x-2 border-b border-line px-3 py-1">
          <h2 className="min-w-0 text-xs font-semibold wrap-anywhere">{title}</h2>
          {actions && <div className="flex items-center gap-1">{actions}</div>}
        </header>
      )}
      <div className={flush ? "" : "p-3"}>{children}</div>
    </section>
  );
}

/** The scrolling body of a page. */
export function PageBody({ children }: { children: ReactNode }): ReactNode {
  return (
    <div className="h-full overflow-auto" tabIndex={-1}>
      <div className="mx-auto flex max-w-[110rem] flex-col gap-3 p-3 pb-6 sm:p-4">{children}</div>
    </div>
  );
}

/** A small word on a coloured ground. */
export function Badge({ tone = "plain", children, title }: { tone?: "plain" | "good" | "warn" | "bad" | "fatal" | "accent"; children: ReactNode; title?: string }): ReactNode {
  const tones = {
    plain: "bg-raised text-soft",
    good: "bg-good-soft text-good",
    warn: "bg-warn-soft text-warn",
    bad: "bg-bad-soft text-bad",
    fatal: "bg-fatal-soft text-fatal",
    accent: "bg-accent-soft text-accent",
  };
  return (
    <span title={title} className={`inline-flex items-center gap-1 rounded px-1.5 py-px text-2xs font-semibold whitespace-nowrap ${tones[tone]}`}>
      {children}
    </span>
  );
}

/** Tabs that are links of the address or buttons. */
export function Tabs<T extends string>({ value, options, onChange, label }: { value: T; options: readonly { value: T; name: ReactNode }[]; onChange: (value: T) => void; label: string }): ReactNode {
  const row = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const [all, chosen] = [row.current!, row.current!.querySelector<HTMLElement>("[aria-pressed=true]")];
    if (chosen) all.scrollLeft = chosen.offsetLeft - all.offsetLeft - (all.clientWidth - chosen.clientWidth) / 2; // on a phone not all fit
  }, [value]);
  return (
    <div ref={row} role="group" aria-label={label} className="flex gap-0.5 overflow-x-auto">
      {options.map((option) => (
        <button
          key={option.value}
          type="button"
          aria-pressed={option.value === value}
          onClick={() => onChange(option.value)}
          className={`h-8 shrink-0 rounded-md px-2.5 font-medium ${option.value === value ? "bg-raised text-ink" : "text-soft hover:text-ink"}`}
        >
          {option.name}
        </button>
      ))}
    </div>
  );
}
