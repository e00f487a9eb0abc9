/** Prometheus' text format, as far as this server writes it: `name{label="value"} 1.5`. */

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)$/;

/** All samples; comments and what is none are left out. */
export function samplesOf(text: string): Sample[] {
  return text.split("\n").flatMap((line): Sample[] => {
    const found = LINE.exec(line.trim());
    if (!found || line.startsWith("#")) return [];
    const labels = Object.fromEntries([...(found[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, value]) => [name!, value!.replace(/\\(.)/g, (_, sign: string) => (sign === "n" ? "\n" : sign))]));
    const value = found[3] === "+Inf" ? Infinity : found[3] === "-Inf" ? -Infinity : Number(found[3]);
    return [{ name: found[1]!, labels, value }];
  });
}

/** The values of a metric by one of its labels. */
export function byLabel(samples: readonly Sample[], name: string, label: string): Record<string, number> {
  return Object.fromEntries(samples.filter((one) => one.name === name).map((one) => [one.labels[label] ?? "", one.value]));
}
