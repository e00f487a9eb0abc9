// Runs: jobs, evaluations beside each other, calls, caches.
import assert from "node:assert/strict";
import { test } from "node:test";
import { settled, visit } from "./browser.mjs";
import { onDesktop, stage } from "./stage.mjs";

test("a job is chosen, its curves are smoothed, and its logs are one click away", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/runs");
    await page.getByRole("button", { name: "support-bot", exact: true }).click();
    await page.waitForURL(/run=run1/);
    await page.getByRole("figure", { name: "loss by step" }).waitFor();
    await page.getByLabel("smooth").check();
    await page.getByRole("progressbar").first().waitFor();
    await page.getByRole("link", { name: "Its logs" }).click();
    await page.waitForURL(/query=run_id%3Arun1/);
  });
});

test("evaluations of a suite are compared with the model that was chosen, and lead to their logs", async () => {
  await onDesktop(async (page) => {
    const evaluation = (model, accuracy, run_id) => ({ logger: "monitoring.llm", message: "evaluation", "event.name": "llm.evaluation.ended", suite: "side-by-side", model, outcome: "passed", scores: { accuracy }, run_id });
    await stage.instance.send([evaluation("old", 0.7, "ev1"), evaluation("new", 0.75, "ev2")]);
    await visit(page, stage.instance, "/runs?tab=evaluations");
    const suite = page.locator("section").filter({ has: page.getByRole("heading", { name: "side-by-side" }) });
    await suite.getByLabel("compared with").selectOption("old");
    await page.waitForURL(/baseline=old/);
    await suite.getByText("+0.050").waitFor();
    await suite.getByLabel("compared with").selectOption("new");
    await suite.getByText("−0.050").waitFor();
    await page.getByRole("region", { name: "Evaluations", exact: true }).getByRole("link").first().click();
    await page.waitForURL(/query=run_id/);
  });
});

test("tokens, cost and caches of the demo are summed up", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/runs");
    await page.getByRole("button", { name: "Tokens and cost" }).click();
    await settled(page);
    await page.getByRole("row").filter({ hasText: "gpt-4.1-mini" }).waitFor();
    await page.getByRole("button", { name: "Caches" }).click();
    await settled(page);
    await page.getByRole("row").filter({ hasText: "prompt-cache" }).waitFor();
    assert.ok((await page.getByRole("figure", { name: "Cache hit ratio" }).count()) > 0);
  });
});
