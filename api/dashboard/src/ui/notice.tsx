import { useState, type ReactNode } from "react";
import { inWords } from "../lib/client";
import { Button } from "./button";
import { Icon } from "./icons";

/** What went wrong and what to do, in words. */
export function Failure({ error, onRetry, what }: { error: unknown; onRetry?: () => void; what?: string }): ReactNode {
  const { text, fix, id } = inWords(error);
  return (
    <div role="alert" className="flex items-start gap-2 rounded-lg border border-line bg-bad-soft px-3 py-2 text-ink">
      <span className="mt-0.5 text-bad">
        <Icon name="warning" />
      </span>
      <div className="min-w-0 flex-1 wrap-break-word">
        <p className="font-medium">
          {what ? `${what}: ` : ""}
          {text}
        </p>
        {fix && <p className="text-soft">{fix}</p>}
        {id && <p className="text-2xs text-soft">Request {id}</p>}
      </div>
      {onRetry && (
        <Button small onClick={onRetry}>
          Try again
        </Button>
      )}
    </div>
  );
}

/** Nothing there yet, and what would make something be there. */
export function Empty({ title, children }: { title: string; children?: ReactNode }): ReactNode {
  return (
    <div className="mx-auto flex max-w-xl flex-col items-center gap-2 px-4 py-10 text-center">
      <p className="text-sm font-semibold">{title}</p>
      {children && <div className="w-full text-soft">{children}</div>}
    </div>
  );
}

/** Text to take along, with a button that copies it. */
export function Snippet({ text, label }: { text: string; label?: string }): ReactNode {
  return (
    <figure className="mt-2 w-full text-left">
      {label && <figcaption className="mb-1 text-2xs font-medium text-soft">{label}</figcaption>}
      <div className="relative rounded-md border border-line bg-raised">
        <pre tabIndex={0} aria-label={label ?? "Snippet"} className="overflow-x-auto p-2.5 pr-11 font-mono text-xs text-ink">
          {text}
        </pre>
        <span className="absolute top-1 right-1">
          <Copy text={text} />
        </span>
      </div>
    </figure>
  );
}

/** Copies a text to the clipboard and says so. */
export function Copy({ text, title = "Copy", label }: { text: string; title?: string; label?: string }): ReactNode {
  const [done, setDone] = useState<"" | "copied" | "failed">("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setDone("copied");
    } catch {
      setDone("failed"); // no clipboard without https or localhost
    }
    setTimeout(() => setDone(""), 1600);
  };
  return (
    <Button small look="quiet" icon={done === "copied" ? "check" : "copy"} title={done === "failed" ? "The browser allows no copying here" : title} onClick={() => void copy()}>
      {label}
      {done && (
        <span role="status" className={label ? "sr-only" : "text-2xs"}>
          {done === "copied" ? "Copied" : "Not allowed"}
        </span>
      )}
    </Button>
  );
}

/** Grey bars where something will stand. */
export function Waiting({ lines = 3 }: { lines?: number }): ReactNode {
  return (
    <div role="status" aria-label="Loading" className="flex animate-pulse flex-col gap-2 p-3">
      {Array.from({ length: lines }, (_, at) => (
        <div key={at} className={`h-3 rounded bg-raised ${["w-3/4", "w-full", "w-2/3"][at % 3]}`} />
      ))}
    </div>
  );
}
