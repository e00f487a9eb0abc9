import { useEffect, useRef, useState, type ReactNode } from "react";
import { clock, type Zone } from "../lib/time";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { LevelTag } from "../ui/level";
import { Failure, Waiting } from "../ui/notice";
import { useContext } from "./data";

/** An event among its neighbours: what the same service on the same host said right before and after. */
export function ContextDialog({ id, zone, onClose }: { id: string; zone: Zone; onClose: () => void }): ReactNode {
  const [neighbours, setNeighbours] = useState(20);
  const { data, error, isPending, refetch } = useContext(id, neighbours);
  const here = useRef<HTMLLIElement>(null);
  useEffect(() => {
    void here.current?.scrollIntoView({ block: "center" }); // newer browsers answer with a promise
  }, [data]);
  return (
    <Dialog wide title={data ? `Around this event: ${data.event.service || "no service"} on ${data.event.host || "no host"}` : "Around this event"} onClose={onClose}>
      {isPending && <Waiting lines={8} />}
      {error && <Failure error={error} onRetry={() => void refetch()} />}
      {data && (
        <>
          <ol className="font-mono text-xs">
            {[...data.before, data.event, ...data.after].map((event) => (
              <li key={event.id} ref={event.id === id ? here : undefined} aria-current={event.id === id || undefined} className={`flex gap-2 rounded px-1 py-0.5 ${event.id === id ? "bg-accent-soft" : ""}`}>
                <time className="shrink-0 text-soft">{clock(Date.parse(event.timestamp), zone, 3)}</time>
                <LevelTag level={event.level} />
                <span className="min-w-0 wrap-anywhere whitespace-pre-wrap">{event.message}</span>
              </li>
            ))}
          </ol>
          {neighbours < 320 && (
            <div className="mt-3 text-center">
              <Button onClick={() => setNeighbours(neighbours * 4)}>Show more on both sides</Button>
            </div>
          )}
        </>
      )}
    </Dialog>
  );
}
