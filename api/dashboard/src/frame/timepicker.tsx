import { useState, type FormEvent, type ReactNode } from "react";
import { serverNow } from "../lib/client";
import { useKeys } from "../lib/keyboard";
import { setPreference } from "../lib/preferences";
import { between, describeRange, fromInput, PRESETS, resolve, resolveRange, toInput, type Range, type Zone } from "../lib/time";
import { useRange } from "../lib/url";
import { Button } from "../ui/button";
import { TextField } from "../ui/field";
import { Menu, MenuItem } from "../ui/menu";
import { Tabs } from "../ui/panel";

/** The time range of the page: relative, or two moments; and the zone in which times are shown. */
export function TimePicker(): ReactNode {
  const { range, zone, setRange, setZone } = useRange();
  const choose = (next: Zone) => {
    setPreference("zone", next);
    setZone(next);
  };
  const shift = (by: number) => {
    const { start, end } = resolveRange(range, serverNow());
    const width = end - start;
    setRange(between(start + by * width, end + by * width));
  };
  const zoomOut = () => {
    const { start, end } = resolveRange(range, serverNow());
    const more = (end - start) / 2;
    setRange(between(start - more, Math.min(end + more, serverNow())));
  };
  useKeys("Time", [
    { keys: "[", does: "earlier by the range's length", run: () => shift(-1) },
    { keys: "]", does: "later by the range's length", run: () => shift(1) },
    { keys: "z", does: "twice as long", run: zoomOut },
  ]);
  return (
    <Menu label={<span className="max-w-[46vw] truncate sm:max-w-none">{describeRange(range, zone, serverNow())}</span>} icon="clock" title="Time range" align="right" width="w-[34rem]">
      {(close) => (
        <div className="flex flex-col gap-3 p-2 sm:flex-row">
          <div className="grid grid-cols-2 content-start sm:w-40 sm:grid-cols-1">
            {PRESETS.map((preset) => (
              <MenuItem key={preset.start} on={range.start === preset.start && range.end === "now"} onClick={() => (setRange({ start: preset.start, end: "now" }), close())}>
                {preset.name}
              </MenuItem>
            ))}
          </div>
          <div className="flex flex-1 flex-col gap-3 border-line sm:border-l sm:pl-3">
            <Absolute key={`${range.start} ${range.end} ${zone}`} range={range} zone={zone} onChoose={(next) => (setRange(next), close())} />
            <div>
              <p className="mb-1 text-2xs font-semibold text-soft">Times are shown in</p>
              <Tabs<Zone>
                label="Zone"
                value={zone}
                onChange={choose}
                options={[
                  { value: "local", name: `Local (${Intl.DateTimeFormat().resolvedOptions().timeZone})` },
                  { value: "utc", name: "UTC" },
                ]}
              />
            </div>
            <div className="flex flex-wrap gap-1">
              <Button small onClick={() => shift(-1)}>
                Earlier
              </Button>
              <Button small onClick={() => shift(1)}>
                Later
              </Button>
              <Button small onClick={zoomOut}>
                Zoom out
              </Button>
            </div>
          </div>
        </div>
      )}
    </Menu>
  );
}

function Absolute({ range, zone, onChoose }: { range: Range; zone: Zone; onChoose: (range: Range) => void }): ReactNode {
  const now = resolveRange(range, serverNow());
  const [start, setStart] = useState(toInput(now.start, zone));
  const [end, setEnd] = useState(toInput(now.end, zone));
  const [relative, setRelative] = useState(/^(now)?-/.test(range.start) ? range.start.replace("now", "") : "");
  const [problem, setProblem] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const from = fromInput(start, zone);
    const until = fromInput(end, zone);
    if (from === null || until === null) return setProblem("Both moments are needed");
    if (from >= until) return setProblem("The end must be later than the start");
    onChoose(between(from, until));
  };
  const submitRelative = (event: FormEvent) => {
    event.preventDefault();
    const text = relative.startsWith("-") ? relative : `-${relative}`;
    if (resolve(text, 0) === null) return setProblem("Write it like 90s, 15m, 36h or 10d");
    onChoose({ start: text, end: "now" });
  };
  return (
    <div className="flex flex-col gap-2">
      <form onSubmit={submit} className="flex flex-col gap-2">
        <TextField label="From" type="datetime-local" step="1" value={start} onChange={(event) => setStart(event.target.value)} />
        <TextField label="Until" type="datetime-local" step="1" value={end} onChange={(event) => setEnd(event.target.value)} />
        {problem && (
          <p role="alert" className="text-2xs text-bad">
            {problem}
          </p>
        )}
        <Button type="submit" look="main">
          Show this range
        </Button>
      </form>
      <form onSubmit={submitRelative} className="flex items-end gap-2">
        <div className="flex-1">
          <TextField label="The last" placeholder="36h" value={relative.replace(/^-/, "")} onChange={(event) => setRelative(event.target.value)} />
        </div>
        <Button type="submit">Show</Button>
      </form>
    </div>
  );
}
