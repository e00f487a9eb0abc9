import { useState, type FormEvent, type ReactNode } from "react";
import { useChange } from "../lib/change";
import { serverNow } from "../lib/client";
import { iso } from "../lib/time";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Choice, TextArea, TextField } from "../ui/field";
import { Failure } from "../ui/notice";
import { lines, matchersOf, type Alert } from "./data";

export type Action = "acknowledge" | "resolve" | "silence";

const WORDS: Record<Action, { title: string; what: string; button: string }> = {
  acknowledge: { title: "Acknowledge", what: "You take care of it: nothing is escalated any further, and who was told hears so.", button: "Acknowledge" },
  resolve: { title: "Resolve", what: "It is over. Where its condition still holds after the cooldown, it comes back.", button: "Resolve" },
  silence: { title: "Silence", what: "Nobody is told of alerts like this one until then; they are listed all the same.", button: "Silence" },
};

export const LENGTHS = [
  ["30m", "30 minutes"],
  ["1h", "1 hour"],
  ["2h", "2 hours"],
  ["8h", "8 hours"],
  ["24h", "1 day"],
  ["168h", "1 week"],
] as const;

/** The end of a silence that begins now. */
export function endOf(length: string, now: number): string {
  const [, size, unit] = /^(\d+)([mh])$/.exec(length) ?? [];
  return iso(now + Number(size) * (unit === "h" ? 3_600_000 : 60_000));
}

/** What to do about an alert, and why. */
export function Act({ action, alert, onClose }: { action: Action; alert: Alert; onClose: () => void }): ReactNode {
  const words = WORDS[action];
  const { busy, error, run } = useChange("alerts");
  const [comment, setComment] = useState("");
  const [length, setLength] = useState("2h");
  const [matchers, setMatchers] = useState(matchersOf(alert).join("\n"));
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const done =
      action === "silence"
        ? await run("POST", "/api/v1/silences", { matchers: lines(matchers), ends_at: endOf(length, serverNow()), reason: comment })
        : await run("POST", `/api/v1/alerts/${encodeURIComponent(alert.id)}/${action}`, { comment });
    if (done !== undefined) onClose();
  };
  return (
    <Dialog title={`${words.title}: ${alert.summary || alert.rule}`} onClose={onClose}>
      <form onSubmit={(event) => void submit(event)} className="flex flex-col gap-3">
        <p className="text-soft">{words.what}</p>
        {action === "silence" && (
          <>
            <Choice label="For" options={LENGTHS} value={length} onChange={(event) => setLength(event.target.value)} />
            <TextArea label="Alerts that match all of these" hint="One a line: name=value, name!=value, name=~regular expression" rows={3} className="font-mono text-xs" value={matchers} onChange={(event) => setMatchers(event.target.value)} />
          </>
        )}
        <TextField label={action === "silence" ? "Reason" : "Comment"} required={action === "silence"} value={comment} onChange={(event) => setComment(event.target.value)} placeholder={action === "silence" ? "planned migration" : "looking into it"} autoFocus />
        {error !== null && <Failure error={error} />}
        <Button type="submit" look="main" disabled={busy}>
          {words.button}
        </Button>
      </form>
    </Dialog>
  );
}
