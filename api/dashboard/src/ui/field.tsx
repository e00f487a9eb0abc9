import { useId, type InputHTMLAttributes, type ReactNode, type SelectHTMLAttributes, type TextareaHTMLAttributes } from "react";

const LOOK = "w-full rounded-md border border-line bg-panel px-2 text-ink";

/** A labelled field; `hint` says what it takes, `problem` what is wrong with what stands there. */
function Labelled({ id, label, hint, problem, children }: { id: string; label: string; hint?: string; problem?: string; children: ReactNode }): ReactNode {
  return (
    <div className="min-w-0">
      <label htmlFor={id} className="mb-1 block text-2xs font-semibold text-soft">
        {label}
      </label>
      {children}
      {problem ? <p className="mt-0.5 text-2xs text-bad">{problem}</p> : hint && <p className="mt-0.5 text-2xs text-soft">{hint}</p>}
    </div>
  );
}

export function TextField({ label, hint, problem, className = "", ...rest }: InputHTMLAttributes<HTMLInputElement> & { label: string; hint?: string; problem?: string }): ReactNode {
  const id = useId();
  return (
    <Labelled id={id} label={label} hint={hint} problem={problem}>
      <input id={id} aria-invalid={problem ? true : undefined} autoComplete="off" spellCheck={false} className={`h-8 ${LOOK} ${className}`} {...rest} />
    </Labelled>
  );
}

export function TextArea({ label, hint, problem, className = "", ...rest }: TextareaHTMLAttributes<HTMLTextAreaElement> & { label: string; hint?: string; problem?: string }): ReactNode {
  const id = useId();
  return (
    <Labelled id={id} label={label} hint={hint} problem={problem}>
      <textarea id={id} aria-invalid={problem ? true : undefined} spellCheck={false} className={`py-1.5 ${LOOK} ${className}`} {...rest} />
    </Labelled>
  );
}

export function Choice({ label, hint, options, ...rest }: SelectHTMLAttributes<HTMLSelectElement> & { label: string; hint?: string; options: readonly (readonly [string, string])[] }): ReactNode {
  const id = useId();
  return (
    <Labelled id={id} label={label} hint={hint}>
      <select id={id} className={`h-8 ${LOOK}`} {...rest}>
        {options.map(([value, name]) => (
          <option key={value} value={value}>
            {name}
          </option>
        ))}
      </select>
    </Labelled>
  );
}

/** Narrows a list below it. */
export function Find({ id, label, value, onChange }: { id?: string; label: string; value: string; onChange: (text: string) => void }): ReactNode {
  return <input id={id} type="search" aria-label={label} placeholder="Find" value={value} onChange={(event) => onChange(event.target.value)} className="h-7 w-40 rounded-md border border-line bg-panel px-2 text-xs" />;
}
