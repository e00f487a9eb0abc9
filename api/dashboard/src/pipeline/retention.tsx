import { useState, type ReactNode } from "react";
import { change } from "../lib/client";
import { bytes } from "../lib/format";
import { Button } from "../ui/button";
import { Failure } from "../ui/notice";
import { Panel } from "../ui/panel";

type Due = Record<string, string | number | null>;

/** What retention would delete now, and doing it. */
export function Retention(): ReactNode {
  const [due, setDue] = useState<Due[] | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [done, setDone] = useState(false);
  const run = async (dry: boolean) => {
    setError(null);
    setDone(false);
    try {
      const answer = await change<{ segments: Due[] }>("POST", "/api/v1/maintenance/retention", { dry_run: dry });
      setDue(dry ? answer.segments : null);
      setDone(!dry);
    } catch (problem) {
      setError(problem);
    }
  };
  return (
    <Panel title="Retention">
      <p className="mb-2 text-soft">Whole segments are deleted once they are older or larger than the settings allow; this happens by itself every few minutes.</p>
      <Button onClick={() => void run(true)}>What is due now?</Button>
      {error !== null && <Failure error={error} />}
      {done && <p role="status" className="mt-2">A job deletes them now.</p>}
      {due?.length === 0 && <p role="status" className="mt-2">Nothing is due.</p>}
      {due && due.length > 0 && (
        <div className="mt-2 flex flex-col gap-2">
          <ul className="text-xs">
            {due.map((one, at) => (
              <li key={at} className="border-t border-line py-1">
                {Object.entries(one)
                  .map(([name, value]) => `${name} ${name === "bytes" ? bytes(Number(value)) : value}`)
                  .join(" · ")}
              </li>
            ))}
          </ul>
          <div>
            <Button look="bad" icon="trash" onClick={() => void run(false)}>
              Delete {due.length} segments
            </Button>
          </div>
        </div>
      )}
    </Panel>
  );
}
