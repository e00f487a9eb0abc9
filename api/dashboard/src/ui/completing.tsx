import { useEffect, useId, useLayoutEffect, useRef, useState, type KeyboardEvent, type ReactNode } from "react";
import { Icon, type IconName } from "./icons";

export interface Offer {
  text: string;
  note: string;
}

interface Props {
  id?: string;
  label: string;
  placeholder: string;
  icon?: IconName;
  /** The key that leads here, shown at the end. */
  shortcut?: string;
  value: string;
  /** What is wrong with `value`; the column counts from 1. */
  wrong: { message: string; fix: string; column: number } | null;
  onSubmit: (text: string) => void;
  /** Leaving the field counts as submitting it: it is one of a form. */
  onLeave?: boolean;
  /** A hook: what could stand at the cursor in place of what is written from `begin` on. */
  useOffers: (text: string, cursor: number, open: boolean) => { begin: number; offers: readonly Offer[] };
}

/** A line of some language: completed while it is written, marked where it is wrong. */
export function CompletingInput({ id, label, placeholder, icon, shortcut, value, wrong, onSubmit, onLeave = false, useOffers }: Props): ReactNode {
  const [text, setText] = useState(value);
  const [cursor, setCursor] = useState(value.length);
  const [open, setOpen] = useState(false);
  const [chosen, setChosen] = useState(-1);
  const input = useRef<HTMLInputElement>(null);
  const caret = useRef<number | null>(null);
  const own = useId();
  useEffect(() => setText(value), [value]);
  // With what was taken and not a frame later: a key that is pressed in between would stand behind the caret.
  useLayoutEffect(() => {
    if (caret.current === null) return;
    input.current?.focus();
    input.current?.setSelectionRange(caret.current, caret.current);
    caret.current = null;
  });
  const { begin, offers } = useOffers(text, cursor, open);
  const shown = open && offers.length > 0;
  const problem = text === value ? wrong : null;

  const take = (offer: string) => {
    const next = text.slice(0, begin) + offer + text.slice(cursor).replace(/^[\w.:-]*/, "");
    const end = begin + offer.length;
    setText(next);
    setCursor(end);
    setChosen(-1);
    caret.current = end;
  };
  const submit = () => {
    setOpen(false);
    setChosen(-1);
    onSubmit(text);
  };
  const key = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown" && shown) setChosen((chosen + 1) % offers.length);
    else if (event.key === "ArrowUp" && shown) setChosen((chosen - 1 + offers.length) % offers.length);
    else if ((event.key === "Enter" || event.key === "Tab") && shown && chosen >= 0) take(offers[chosen]!.text);
    else if (event.key === "Enter") submit(); // and not the form around it
    else if (event.key === "Escape") {
      if (!shown) input.current?.blur();
      return setOpen(false);
    } else return;
    event.preventDefault();
  };
  return (
    <div className="relative min-w-0 flex-1">
      <div className={`flex h-9 items-center gap-2 rounded-md border bg-panel px-2.5 focus-within:border-accent ${problem ? "border-bad" : "border-line"}`}>
        {icon && (
          <span className="text-soft">
            <Icon name={icon} />
          </span>
        )}
        <input
          ref={input}
          id={id}
          role="combobox"
          aria-label={label}
          aria-expanded={shown}
          aria-controls={shown ? `${own}-offers` : undefined}
          aria-activedescendant={shown && chosen >= 0 ? `${own}-${chosen}` : undefined}
          aria-autocomplete="list"
          aria-invalid={problem ? true : undefined}
          aria-describedby={problem ? `${own}-wrong` : undefined}
          placeholder={placeholder}
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
          onBlur={() => (setOpen(false), onLeave && text !== value && onSubmit(text))}
        />
        {text && (
          <button type="button" aria-label="Clear" className="text-soft hover:text-ink" onClick={() => (setText(""), onSubmit(""))}>
            <Icon name="close" size={14} />
          </button>
        )}
        {shortcut && <kbd className="rounded border border-line px-1 font-mono text-2xs text-soft max-sm:hidden">{shortcut}</kbd>}
      </div>
      {shown && (
        <ul id={`${own}-offers`} role="listbox" aria-label="Completions" className="absolute z-30 mt-1 max-h-80 w-full max-w-lg overflow-auto rounded-lg border border-line bg-panel p-1 shadow-xl">
          {offers.map((offer, at) => (
            <li
              key={offer.text}
              id={`${own}-${at}`}
              role="option"
              aria-selected={at === chosen}
              onPointerDown={(event) => (event.preventDefault(), take(offer.text))}
              className={`flex cursor-pointer justify-between gap-3 rounded px-2 py-1 font-mono text-xs ${at === chosen ? "bg-accent-soft text-accent" : "hover:bg-raised"}`}
            >
              <span className="truncate">{offer.text}</span>
              <span className="min-w-0 truncate font-sans text-2xs text-soft">{offer.note}</span>
            </li>
          ))}
        </ul>
      )}
      {problem && (
        <div id={`${own}-wrong`} role="alert" className="mt-1 rounded-md bg-bad-soft px-2.5 py-1.5 text-xs">
          {problem.column > 0 && (
            <pre className="mb-0.5 overflow-x-auto font-mono text-xs leading-4" aria-hidden="true">
              {value}
              {"\n"}
              {" ".repeat(Math.max(0, problem.column - 1))}
              <span className="font-bold text-bad">^</span>
            </pre>
          )}
          <p>
            <span className="font-semibold text-bad">{problem.message}</span>
            {problem.fix && <span className="text-soft"> – {problem.fix}</span>}
          </p>
        </div>
      )}
    </div>
  );
}
