import { useState, type ReactNode } from "react";
import { useChange } from "../lib/change";
import { count } from "../lib/format";
import { formatFull } from "../lib/time";
import { useRange } from "../lib/url";
import { Button } from "../ui/button";
import { Choice } from "../ui/field";
import { Failure } from "../ui/notice";
import { ruleBody, type Backtest, type Rule } from "./data";

const SPANS = [
  ["-6h", "6 hours"],
  ["-1d", "1 day"],
  ["-7d", "7 days"],
] as const;

/** When the rule would have fired over what is stored. */
export function Backtested({ rule }: { rule: Rule }): ReactNode {
  const [since, setSince] = useState("-1d");
  const [found, setFound] = useState<Backtest | null>(null);
  const { busy, error, run } = useChange("alerts");
  const { zone } = useRange();
  const test = async () => {
    setFound(null);
    const answer = await run<Backtest>("POST", "/api/v1/rules/test", { rule: { ...ruleBody(rule), name: rule.name || "tried" }, since });
    if (answer) setFound(answer);
  };
  return (
    <div className="flex flex-col gap-2 rounded-lg border border-line p-3">
      <div className="flex flex-wrap items-end gap-2">
        <div className="w-48">
          <Choice label="Would it have fired in the last" options={SPANS} value={since} onChange={(event) => setSince(event.target.value)} />
        </div>
        <Button disabled={busy} onClick={() => void test()}>
          {busy ? "Looking…" : "Test it"}
        </Button>
      </div>
      {error !== null && <Failure error={error} />}
      {found && (
        <div role="status">
          <p className="font-semibold">
            {found.fired === 0 ? "It would not have fired" : `It would have fired ${found.fired === 1 ? "once" : `${count(found.fired)} times`}`} <span className="font-normal text-soft">in {count(found.evaluations)} looks</span>
          </p>
          <ul className="max-h-40 overflow-auto text-xs">
            {found.firings.map((one, at) => (
              <li key={at} className="flex flex-wrap gap-x-3">
                <span className="tabular-nums">{formatFull(one.active_at, zone).slice(0, 19)}</span>
                <span className="text-soft">{one.resolved_at ? `until ${formatFull(one.resolved_at, zone).slice(11, 19)}` : "still"}</span>
                <span>{Object.entries(one.labels).map(([name, value]) => `${name}=${value}`).join(" ")}</span>
                {one.peak !== null && <span className="text-soft">peak {count(one.peak)}</span>}
              </li>
            ))}
          </ul>
          {found.notes.map((note) => (
            <p key={note} className="text-2xs text-soft">
              {note}
            </p>
          ))}
        </div>
      )}
    </div>
  );
}
