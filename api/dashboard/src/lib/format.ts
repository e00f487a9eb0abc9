/** Numbers as people read them. */

const SIZES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** `1,234`; from ten thousand on `12.3 k`. */
export function count(value: number): string {
  if (!Number.isFinite(value)) return special(value);
  const size = Math.abs(value);
  if (size < 10_000) return Number.isInteger(value) || size >= 1000 ? Math.round(value).toLocaleString("en-US") : trim(value);
  for (const [limit, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]] as const) {
    if (size >= limit) return `${trim(value / limit)} ${unit}`;
  }
  return trim(value);
}

/** `1 event`, `2 events`. */
export function several(number: number, noun: string): string {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

function trim(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 0.001) return value.toExponential(1);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return String(Number(value.toFixed(digits)));
}

function special(value: number): string {
  return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
}

/** `3.2 MiB`. */
export function bytes(value: number): string {
  if (!Number.isFinite(value)) return special(value);
  let size = Math.abs(value);
  let unit = 0;
  while (size >= 1024 && unit < SIZES.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${value < 0 ? "−" : ""}${unit === 0 ? Math.round(size) : trim(size)} ${SIZES[unit]}`;
}

/** `250 ms`, `1.5 s`, `3 min 20 s`, `2 h 5 min`, `4 d 2 h`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return special(seconds);
  const size = Math.abs(seconds);
  const sign = seconds < 0 ? "−" : "";
  if (size === 0) return "0 s";
  if (size < 0.001) return `${sign}${trim(size * 1e6)} µs`;
  if (size < 1) return `${sign}${trim(size * 1000)} ms`;
  if (size < 60) return `${sign}${trim(size)} s`;
  const whole = Math.round(size);
  for (const [length, unit, part, small] of [[86_400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]] as const) {
    if (whole >= length) {
      const rest = Math.floor((whole % length) / part);
      return `${sign}${Math.floor(whole / length)} ${unit}${rest ? ` ${rest} ${small}` : ""}`;
    }
  }
  return `${sign}${trim(size)} s`;
}

/** A ratio from 0 to 1 as `12.3 %`. */
export function percent(ratio: number): string {
  if (!Number.isFinite(ratio)) return special(ratio);
  const value = ratio * 100;
  return `${Math.abs(value) >= 10 || value === 0 ? Math.round(value * 10) / 10 : Number(value.toPrecision(2))} %`;
}

/** `$1.20`; below a cent with two digits that count. */
export function dollars(value: number): string {
  if (!Number.isFinite(value)) return special(value);
  if (value !== 0 && Math.abs(value) < 0.01) return `$${Number(value.toPrecision(2))}`;
  return `$${value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}

export type Unit = "count" | "bytes" | "seconds" | "ratio" | "usd" | "rate" | "bytes/s";

/** A value in its unit. */
export function inUnit(value: number, unit: Unit): string {
  switch (unit) {
    case "bytes":
      return bytes(value);
    case "bytes/s":
      return `${bytes(value)}/s`;
    case "seconds":
      return duration(value);
    case "ratio":
      return percent(value);
    case "usd":
      return dollars(value);
    case "rate":
      return `${count(value)}/s`;
    case "count":
      return count(value);
  }
}

/** The two sides of a division that is the whole of an expression, or null. */
function divided(expression: string): [string, string] | null {
  let depth = 0;
  let quote = "";
  for (let at = 0; at < expression.length; at += 1) {
    const sign = expression[at]!;
    if (quote) quote = sign === quote ? "" : quote;
    else if (/["'`]/.test(sign)) quote = sign;
    else if (/[({[]/.test(sign)) depth += 1;
    else if (/[)}\]]/.test(sign)) depth -= 1;
    else if (sign === "/" && depth === 0) return [expression.slice(0, at), expression.slice(at + 1)];
  }
  return null;
}

const metricsIn = (text: string) => [...new Set(text.replace(/"[^"]*"|'[^']*'/g, "").match(/\b[a-z]+_[\w:]+/g))].join();

/** The unit that a metric's name tells, as Prometheus' naming has it; of a part of the same metric, that it is a ratio. */
export function unitOf(expression: string): Unit {
  const sides = divided(expression);
  if (sides && metricsIn(sides[0]) !== "" && metricsIn(sides[0]) === metricsIn(sides[1])) return "ratio";
  const rate = /\b(rate|irate)\s*\(/.test(expression);
  if (/histogram_quantile|_seconds(_sum)?\b(?!_total)/.test(expression) && !/_seconds_(total|count|bucket)\b/.test(expression.replace(/histogram_quantile\([^]*\)/, ""))) return "seconds";
  if (/_ratio\b/.test(expression)) return "ratio";
  if (/_usd(_total)?\b/.test(expression)) return "usd";
  if (/_bytes(_total)?\b/.test(expression)) return rate ? "bytes/s" : "bytes";
  return rate ? "rate" : "count";
}
