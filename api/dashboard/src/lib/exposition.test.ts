import { expect, test } from "vitest";
import { byLabel, samplesOf } from "./exposition";

test("samples are read with their labels, comments and nonsense are not", () => {
  const text = '# HELP a b\n# TYPE a gauge\na 1.0\njobs{queue="drain",x="a\\"b\\\\c"} 3.0\nh_bucket{le="+Inf"} +Inf\nnonsense\n';
  const samples = samplesOf(text);
  expect(samples).toEqual([
    { name: "a", labels: {}, value: 1 },
    { name: "jobs", labels: { queue: "drain", x: 'a"b\\c' }, value: 3 },
    { name: "h_bucket", labels: { le: "+Inf" }, value: Infinity },
  ]);
  expect(byLabel(samples, "jobs", "queue")).toEqual({ drain: 3 });
});
