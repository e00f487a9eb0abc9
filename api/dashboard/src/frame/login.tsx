import { useState, type FormEvent, type ReactNode } from "react";
import { logIn } from "../lib/session";
import { Button } from "../ui/button";
import { TextField } from "../ui/field";
import { Failure, Snippet } from "../ui/notice";

function Screen({ children }: { children: ReactNode }): ReactNode {
  return (
    <main className="flex min-h-full items-center justify-center p-4">
      <div className="flex w-full max-w-md flex-col gap-4 rounded-xl border border-line bg-panel p-6 shadow-sm">
        <h1 className="flex items-center gap-2 text-base font-semibold">
          <Mark />
          monitoring
        </h1>
        {children}
      </div>
    </main>
  );
}

/** The product's sign. */
export function Mark(): ReactNode {
  return (
    <svg aria-hidden="true" width="24" height="24" viewBox="0 0 512 512" className="shrink-0 rounded-md">
      <rect width="512" height="512" fill="#1b2230" />
      <path d="M72 276h84l44-132 80 236 56-156 24 52h80" fill="none" stroke="#7aa2ff" strokeWidth="40" strokeLinecap="round" strokeLinejoin="round" />
    </svg>
  );
}

/** Before anything is known: the server does not answer yet, or says why it cannot. */
export function Starting({ error }: { error: unknown }): ReactNode {
  if (!error) return <div role="status" aria-label="Loading" />;
  return (
    <Screen>
      <Failure error={error} />
    </Screen>
  );
}

/** Log in: by the link that the command prints, or with an API key. */
export function Login({ onDone }: { onDone: () => void }): ReactNode {
  const [key, setKey] = useState("");
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await logIn(key.trim());
      onDone();
    } catch (problem) {
      setError(problem);
    }
    setBusy(false);
  };
  return (
    <Screen>
      <div>
        <h2 className="font-semibold">With a link</h2>
        <p className="text-soft">On the machine that runs it, this prints a link that logs you in once:</p>
        <Snippet text="monitoring login" />
      </div>
      <form onSubmit={(event) => void submit(event)} className="flex flex-col gap-2 border-t border-line pt-4">
        <h2 className="font-semibold">With an API key</h2>
        <TextField label="API key" type="password" value={key} onChange={(event) => setKey(event.target.value)} hint="The admin's is in admin.key of the data directory. It is exchanged for a session and not kept." autoComplete="current-password" required />
        {error !== null && <Failure error={error} />}
        <Button look="main" type="submit" disabled={busy || !key.trim()}>
          {busy ? "Logging in…" : "Log in"}
        </Button>
      </form>
    </Screen>
  );
}
