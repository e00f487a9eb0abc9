import { useMemo, type ReactNode } from "react";
import type { Unit } from "../lib/format";
import { aligned, legendOf, useChart, type Chart } from "../lib/prom";
import { between, type Range } from "../lib/time";
import { useRange } from "../lib/url";
import { LineChart, type Line } from "../ui/chart";
import { Empty, Failure, Waiting } from "../ui/notice";

const MOST_LINES = 40; // more cannot be told apart, and an expression can return thousands

interface Props {
  title: string;
  expr: string;
  unit: Unit;
  legend?: string;
  height?: number;
  threshold?: number | null;
  empty?: ReactNode;
  /** Instead of the page's; it is not zoomed then. */
  range?: Range;
}

/** Lines of an answer, the largest first where there are too many. */
export function linesOf(chart: Chart, legend = ""): { x: number[]; lines: Line[]; left: number } {
  const [x, ...columns] = aligned(chart);
  const all = chart.series.map((series, index) => ({ label: legendOf(series.labels, legend), values: columns[index] ?? [] }));
  const size = (line: Line) => line.values.reduce<number>((top, value) => Math.max(top, Math.abs(value ?? 0)), 0);
  const kept = all.length > MOST_LINES ? [...all].sort((a, b) => size(b) - size(a)).slice(0, MOST_LINES) : all;
  const seen = new Map<string, number>();
  const lines = kept.map((line) => {
    const times = (seen.get(line.label) ?? 0) + 1;
    seen.set(line.label, times);
    return times === 1 ? line : { ...line, label: `${line.label} (${times})` };
  });
  return { x, lines, left: all.length - kept.length };
}

/** A PromQL expression over the page's range. */
export function ExpressionChart({ title, expr, unit, legend, height, threshold, empty, range: own }: Props): ReactNode {
  const { range: pages, zone, setRange } = useRange();
  const { data, error, isPending, refetch } = useChart(expr, own ?? pages);
  const drawn = useMemo(() => data && linesOf(data, legend), [data, legend]);
  if (isPending) return <Waiting lines={6} />;
  if (!drawn) return error ? <Failure error={error} onRetry={() => void refetch()} /> : null;
  if (drawn.lines.length === 0) return empty ?? <Empty title="No samples in this range" />;
  return (
    <>
      <LineChart x={drawn.x} lines={drawn.lines} unit={unit} zone={zone} height={height} threshold={threshold} sync="page" label={title} onZoom={own ? undefined : (start, end) => setRange(between(start * 1000, end * 1000))} />
      {drawn.left > 0 && <p className="text-2xs text-warn">{drawn.left} more series are not drawn: these are the largest.</p>}
      {data?.warnings.map((warning) => (
        <p key={warning} className="text-2xs text-warn">
          {warning}
        </p>
      ))}
    </>
  );
}
