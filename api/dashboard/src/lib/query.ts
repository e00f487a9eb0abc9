/** Building search queries by clicking. The language is described in docs/search.md. */

const FIELDS = ["level", "service", "host", "logger", "environment", "release", "message", "exception", "trace_id", "span_id", "request_id"] as const;

/** Fields that every event has; whatever else stands before a colon is an attribute. */
export const KNOWN_FIELDS: readonly string[] = FIELDS;

const PLAIN_NAME = /^[\p{L}_@$][\w.@$/-]*$/u;
const PLAIN_VALUE = /^[\p{L}\p{N}_][\p{L}\p{N}_.@-]*$/u;

function quoted(text: string): string {
  return `"${text.replace(/[\\"]/g, (found) => `\\${found}`)}"`;
}

/** A name or value as it may stand in a query, in quotes where it needs them. */
export function valueText(value: string): string {
  return PLAIN_VALUE.test(value) && !value.includes("..") && !/^(AND|OR|NOT)$/.test(value) ? value : quoted(value);
}

/** `field:value`, for events that have it; `negate`: for those that have not. */
export function term(field: string, value: string, negate = false): string {
  const name = PLAIN_NAME.test(field) ? field : quoted(field);
  return `${negate ? "-" : ""}${name}:${valueText(value)}`;
}

/** The name that finds an attribute, whatever it is called. */
export function attributeField(name: string): string {
  return KNOWN_FIELDS.includes(name) ? `attributes.${name}` : name;
}

/** The terms of a query as they are written, parentheses and quotes kept whole. */
export function terms(query: string): string[] {
  const found: string[] = [];
  let begin = 0;
  let depth = 0;
  let quote = false;
  for (let at = 0; at < query.length; at += 1) {
    const sign = query[at];
    if (sign === "\\") at += 1;
    else if (sign === '"') quote = !quote;
    else if (quote) continue;
    else if (sign === "(") depth += 1;
    else if (sign === ")") depth -= 1;
    else if (/\s/.test(sign ?? "") && depth <= 0) {
      if (at > begin) found.push(query.slice(begin, at));
      begin = at + 1;
    }
  }
  if (begin < query.length) found.push(query.slice(begin));
  return found.filter((one) => one.trim() !== "");
}

/** The query with one more term; where its opposite stood it is replaced, where it stood itself nothing changes. */
export function withTerm(query: string, added: string): string {
  const standing = terms(query);
  if (standing.includes(added)) return query;
  const opposite = added.startsWith("-") ? added.slice(1) : `-${added}`;
  if (standing.includes(opposite)) return standing.map((one) => (one === opposite ? added : one)).join(" ");
  const whole = standing.includes("OR") ? `(${standing.join(" ")})` : standing.join(" ");
  return whole ? `${whole} ${added}` : added;
}

/** The query without a term. */
export function withoutTerm(query: string, removed: string): string {
  return terms(query).filter((one) => one !== removed).join(" ");
}

/** Add the term, or take it away where it stands. */
export function toggleTerm(query: string, one: string): string {
  return terms(query).includes(one) ? withoutTerm(query, one) : withTerm(query, one);
}

/** What is being written at the cursor: a name, or a value of a field. `begin` is where it begins. */
export type Writing = { kind: "name"; text: string; begin: number } | { kind: "value"; field: string; text: string; begin: number };

export function writingAt(query: string, cursor: number): Writing {
  const before = query.slice(0, cursor);
  const begin = Math.max(...[" ", "(", "\t", "\n"].map((sign) => before.lastIndexOf(sign))) + 1;
  const word = before.slice(begin);
  const sign = /^-/.test(word) ? 1 : 0;
  const colon = word.indexOf(":");
  if (colon <= sign) return { kind: "name", text: word.slice(sign), begin: begin + sign };
  return { kind: "value", field: word.slice(sign, colon), text: word.slice(colon + 1).replace(/^(>=|<=|>|<|")/, ""), begin: begin + colon + 1 };
}

/** Words of the query that a message may show marked. */
export function markedWords(query: string): string[] {
  const found: string[] = [];
  for (const one of terms(query)) {
    if (/^(AND|OR|NOT)$/.test(one) || one.startsWith("-")) continue;
    const message = /^message:(.+)$/s.exec(one);
    const text = message ? (message[1] ?? "") : /^[^"]*[^"\s]:/.test(one) ? "" : one;
    const bare = text.replace(/^[("]+|[)"*]+$/g, "");
    if (bare.length > 1 && !/[:()*]/.test(bare)) found.push(bare);
  }
  return found;
}
