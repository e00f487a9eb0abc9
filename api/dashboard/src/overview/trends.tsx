import type { ReactNode } from "react";
import { BOARDS, type Chart } from "../explore/boards";
import { ExpressionChart } from "../explore/chart";
import { useNames } from "../lib/prom";
import { Panel } from "../ui/panel";

const SHOWN = ["Requests", "Error rate", "Latency p95", "CPU usage", "Memory usage", "Disk usage"];

/** The first charts of the boards, as far as there is something to draw. */
export default function Trends(): ReactNode {
  const { data } = useNames();
  if (!data) return null;
  const charts = SHOWN.map((title) => BOARDS.flatMap((board) => board.charts).find((chart) => chart.title === title)).filter((chart): chart is Chart => chart !== undefined && data.some((name) => chart.expr.includes(name)));
  if (charts.length === 0) return null;
  return (
    <div className="grid gap-3 md:grid-cols-2 2xl:grid-cols-3">
      {charts.map((chart) => (
        <Panel key={chart.title} title={chart.title}>
          <ExpressionChart title={chart.title} expr={chart.expr} unit={chart.unit} legend={chart.legend} height={130} />
        </Panel>
      ))}
    </div>
  );
}
