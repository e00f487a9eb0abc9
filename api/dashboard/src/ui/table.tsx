import type { ReactNode } from "react";

interface Column<T> {
  name: string;
  cell: (row: T) => ReactNode;
  right?: boolean;
  /** Left out on narrow screens. */
  wide?: boolean;
}

/** A plain table that scrolls sideways where it must. */
export function Table<T>({ label, columns, rows, rowKey, onRow }: { label: string; columns: readonly Column<T>[]; rows: readonly T[]; rowKey: (row: T) => string; onRow?: (row: T) => void }): ReactNode {
  return (
    <div className="overflow-x-auto" tabIndex={0} role="region" aria-label={label}>
      <table className="w-full text-xs">
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.name} scope="col" className={`px-3 py-1.5 text-2xs font-semibold whitespace-nowrap text-soft ${column.right ? "text-right" : "text-left"} ${column.wide ? "max-md:hidden" : ""}`}>
                {column.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={rowKey(row)} className={`border-t border-line ${onRow ? "cursor-pointer hover:bg-raised" : ""}`} onClick={onRow && (() => onRow(row))}>
              {columns.map((column) => (
                <td key={column.name} className={`px-3 py-1.5 align-baseline ${column.right ? "text-right whitespace-nowrap tabular-nums" : ""} ${column.wide ? "max-md:hidden" : ""}`}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** A number with its name: what a page says at a glance. */
export function Figure({ name, value, note, tone = "plain" }: { name: string; value: ReactNode; note?: ReactNode; tone?: "plain" | "good" | "warn" | "bad" }): ReactNode {
  const tones = { plain: "text-ink", good: "text-good", warn: "text-warn", bad: "text-bad" };
  return (
    <div className="min-w-0 rounded-lg border border-line bg-panel px-3 py-2">
      <p className="truncate text-2xs font-semibold text-soft">{name}</p>
      <p className={`truncate text-lg leading-6 font-semibold tabular-nums ${tones[tone]}`}>{value}</p>
      {note && <p className="truncate text-2xs text-soft">{note}</p>}
    </div>
  );
}
