import { useState, type ReactNode } from "react";
import { useSearchParams } from "react-router";
import { inWords } from "../lib/client";
import { count, inUnit, unitOf } from "../lib/format";
import { legendOf, useChart, useMetadata, useNames } from "../lib/prom";
import { useRange } from "../lib/url";
import { Button } from "../ui/button";
import { Find } from "../ui/field";
import { Empty, Failure, Snippet, Waiting } from "../ui/notice";
import { PageBody, Panel, Tabs } from "../ui/panel";
import { BOARDS, type Board } from "./boards";
import { ExpressionChart } from "./chart";
import { DerivedMetrics } from "./derived";
import { ExpressionBox } from "./expression";

const OPTIONS = [...BOARDS.map((board) => ({ value: board.name, name: board.title })), { value: "own", name: "Explore" }, { value: "derived", name: "From logs" }];

export default function Explore(): ReactNode {
  const [params, setParams] = useSearchParams();
  const asked = params.getAll("expr");
  const chosen = params.get("board") ?? (asked.length ? "own" : "system");
  const board = BOARDS.find((one) => one.name === chosen);
  const change = (run: (next: URLSearchParams) => void) =>
    setParams((before) => {
      const next = new URLSearchParams(before);
      run(next);
      return next;
    });
  const setExpressions = (all: readonly string[]) =>
    change((next) => {
      next.delete("expr");
      next.set("board", "own");
      for (const expr of all) next.append("expr", expr);
    });
  return (
    <PageBody>
      <Tabs label="Board" value={board?.name ?? (chosen === "derived" ? "derived" : "own")} options={OPTIONS} onChange={(name) => change((next) => next.set("board", name))} />
      {board ? (
        <BoardView board={board} onExplore={(expr) => setExpressions([expr])} />
      ) : chosen === "derived" ? (
        <DerivedMetrics onExplore={(name, kind) => setExpressions([suggestion(name, kind)])} />
      ) : (
        <Expressions all={asked} onChange={setExpressions} />
      )}
    </PageBody>
  );
}

function BoardView({ board, onExplore }: { board: Board; onExplore: (expr: string) => void }): ReactNode {
  const names = useNames();
  const known = names.data;
  const charts = known ? board.charts.filter((chart) => known.some((name) => chart.expr.includes(name))) : board.charts;
  if (names.isPending) return <Waiting lines={6} />;
  if (names.error && !known) return <Failure error={names.error} onRetry={() => void names.refetch()} />;
  if (charts.length === 0) {
    return (
      <Empty title={`Nothing is measured for ${board.title} yet`}>
        <Snippet text={board.needs} label="This fills it" />
      </Empty>
    );
  }
  return (
    <div className="grid gap-3 lg:grid-cols-2 2xl:grid-cols-3">
      {charts.map((chart) => (
        <Panel
          key={chart.title}
          title={chart.title}
          actions={
            <Button small look="quiet" icon="search" title={`Explore ${chart.title}`} onClick={() => onExplore(chart.expr.replaceAll("$window", "5m"))} />
          }
        >
          <ExpressionChart title={chart.title} expr={chart.expr} unit={chart.unit} legend={chart.legend} />
        </Panel>
      ))}
    </div>
  );
}

function Expressions({ all, onChange }: { all: readonly string[]; onChange: (all: readonly string[]) => void }): ReactNode {
  const shown = all.length ? all : [""];
  const set = (at: number, text: string) => onChange(shown.map((one, index) => (index === at ? text : one)));
  return (
    <>
      {shown.map((expr, at) => (
        <Expression key={at} number={at + 1} expr={expr} onChange={(text) => set(at, text)} onRemove={shown.length > 1 ? () => onChange(shown.filter((_, index) => index !== at)) : undefined} />
      ))}
      {shown[0] !== "" && (
        <div>
          <Button icon="plus" onClick={() => onChange([...shown, ""])}>
            Another expression
          </Button>
        </div>
      )}
      {shown[0] === "" && <Catalogue onChoose={(expr) => onChange([expr])} />}
    </>
  );
}

function Expression({ number, expr, onChange, onRemove }: { number: number; expr: string; onChange: (text: string) => void; onRemove?: () => void }): ReactNode {
  const { range } = useRange();
  const { data, error } = useChart(expr, range);
  const unit = unitOf(expr);
  return (
    <div className="flex flex-col gap-2">
      <div className="flex gap-2">
        <ExpressionBox id={number === 1 ? "search" : undefined} label={`Expression ${number}`} value={expr} wrong={error ? inWords(error).text : null} onSubmit={onChange} />
        {onRemove && <Button look="quiet" icon="trash" title={`Remove expression ${number}`} className="h-9" onClick={onRemove} />}
      </div>
      {expr && data && (
        <Panel title={expr}>
          <ExpressionChart title={expr} expr={expr} unit={unit} height={260} />
          {data.series.length > 0 && (
            <div className="mt-3 max-h-72 overflow-auto border-t border-line" tabIndex={0} role="region" aria-label="Latest values">
              <table className="w-full text-xs">
                <thead className="sticky top-0 bg-panel text-left text-2xs text-soft">
                  <tr>
                    <th className="py-1 pr-3 font-semibold">{count(data.series.length)} series</th>
                    <th className="py-1 text-right font-semibold">latest</th>
                  </tr>
                </thead>
                <tbody>
                  {data.series.slice(0, 200).map((series) => (
                    <tr key={legendOf(series.labels)} className="border-t border-line">
                      <td className="py-0.5 pr-3 font-mono wrap-anywhere">{legendOf(series.labels)}</td>
                      <td className="py-0.5 text-right font-semibold whitespace-nowrap tabular-nums">{inUnit(series.points.at(-1)?.[1] ?? NaN, unit)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </Panel>
      )}
    </div>
  );
}

function Catalogue({ onChoose }: { onChoose: (expr: string) => void }): ReactNode {
  const { data, error, isPending, refetch } = useMetadata();
  const [text, setText] = useState("");
  if (isPending) return <Waiting lines={6} />;
  if (!data) return error && <Failure error={error} onRetry={() => void refetch()} />;
  const wanted = text.toLowerCase();
  const names = Object.keys(data).sort();
  const shown = names.filter((name) => `${name} ${data[name]?.[0]?.help ?? ""}`.toLowerCase().includes(wanted));
  if (names.length === 0) {
    return (
      <Empty title="No metrics yet">
        <Snippet text={'from monitoring import counter\n\norders = counter("orders", help="Orders taken")\norders.add(1)'} label="A first one" />
      </Empty>
    );
  }
  return (
    <Panel title={`${names.length} metrics`} flush actions={<Find label="Find a metric" value={text} onChange={setText} />}>
      <ul>
        {shown.map((name) => {
          const { type = "", help = "" } = data[name]?.[0] ?? {};
          return (
            <li key={name} className="border-t border-line first:border-0">
              <button type="button" className="grid w-full gap-x-3 px-3 py-1 text-left hover:bg-raised sm:grid-cols-[minmax(0,26rem)_5rem_minmax(0,1fr)]" onClick={() => onChoose(suggestion(name, type))}>
                <span className="font-mono text-xs font-medium wrap-anywhere">{name}</span>
                <span className="text-2xs leading-5 text-soft max-sm:hidden">{type}</span>
                <span className="min-w-0 truncate text-soft max-sm:text-2xs">{help}</span>
              </button>
            </li>
          );
        })}
      </ul>
    </Panel>
  );
}

/** What to look at first of a metric of this type. */
export function suggestion(name: string, type: string): string {
  if (type === "counter") return `sum(rate(${name.endsWith("_total") ? name : `${name}_total`}[5m]))`;
  if (type === "histogram") return `histogram_quantile(0.95, sum by (le) (rate(${name}_bucket[5m])))`;
  return name;
}
