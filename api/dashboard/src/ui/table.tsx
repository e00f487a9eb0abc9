import type { ReactNode } from "react";

interface Column<T> {
  name: string;
  cell: (row: T) => ReactNode;
  right?: boolean;
  /** Left out on narrow screens. */
  wide?: boolean;
  /** On a phone it has a line of its own. */
  whole?: boolean;
}

/** A plain table that scrolls sideways where it must; on a phone each row is a card, its values behind their names. */
export function Table<T>({ label, columns, rows, rowKey, onRow }: { label: string; columns: readonly Column<T>[]; rows: readonly T[]; rowKey: (row: T) => string; onRow?: (row: T) => void }): ReactNode {
  return (
    <div className="overflow-x-auto" tabIndex={0} role="region" aria-label={label}>
      {/* Roles in words: what is laid out as cards is no table to a browser any more. */}
      <table role="table" className="w-full text-xs max-sm:block">
        <thead role="rowgroup" className="max-sm:sr-only">
          <tr role="row">
            {columns.map((column) => (
              <th key={column.name} role="columnheader" scope="col" className={`px-3 py-1.5 text-2xs font-semibold whitespace-nowrap text-soft ${column.right ? "text-right" : "text-left"} ${column.wide ? "max-md:hidden" : ""}`}>
                {column.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup" className="max-sm:block">
          {rows.map((row) => (
            <tr
              key={rowKey(row)}
              role="row"
              className={`border-t border-line max-sm:flex max-sm:flex-wrap max-sm:items-baseline max-sm:gap-x-4 max-sm:gap-y-1 max-sm:px-3 max-sm:py-2 max-sm:first:border-0 ${onRow ? "cursor-pointer hover:bg-raised" : ""}`}
              onClick={onRow && (() => onRow(row))}
            >
              {columns.map((column, at) => (
                <td
                  key={column.name}
                  role="cell"
                  data-name={column.name}
                  className={`px-3 py-1.5 align-baseline max-sm:min-w-0 max-sm:p-0 max-sm:empty:hidden ${at === 0 || column.whole ? "max-sm:basis-full" : column.name.trim() ? "max-sm:before:mr-1.5 max-sm:before:text-2xs max-sm:before:text-soft max-sm:before:content-[attr(data-name)]" : "max-sm:ml-auto"} ${column.right ? "whitespace-nowrap tabular-nums sm:text-right" : ""} ${column.wide ? "max-md:hidden" : ""}`}
                >
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
      {note && <p className="line-clamp-2 text-2xs text-soft">{note}</p>}
    </div>
  );
}

/** Figures beside each other, as many in a line as fit. */
export function Figures({ children }: { children: ReactNode }): ReactNode {
  return <div className="grid grid-cols-2 gap-2 max-sm:[&>:last-child:nth-child(odd)]:col-span-2 sm:grid-cols-[repeat(auto-fit,minmax(6.75rem,1fr))]">{children}</div>;
}
