// Pipeline: numbers, workers, dead letters, retention.
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { visit } from "./browser.mjs";
import { until } from "./instance.mjs";
import { onDesktop, stage } from "./stage.mjs";

test("partitions, workers and producers are listed with what they do", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/pipeline");
    await page.getByRole("region", { name: "Partitions" }).getByRole("row").filter({ hasText: "metrics 0" }).waitFor();
    await page.getByRole("region", { name: "Workers" }).getByRole("row").filter({ hasText: "delivers notifications" }).waitFor();
    await page.getByRole("region", { name: "Producers" }).getByRole("row").filter({ hasText: "monitoring-demo" }).first().waitFor();
  });
});

test("a dead letter is shown as it came, and one that still is no event says so when it is replayed", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/pipeline");
    await page.getByRole("row").filter({ hasText: "this is no event" }).getByRole("button", { name: "Open" }).click();
    await page.getByRole("dialog").getByText("this is no event").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Replay" }).click();
    await page.getByRole("dialog").getByText("it still cannot be understood").waitFor();
  }, { expected: /replay|status of 422/ });
});

test("a dead letter that can be understood is replayed once, and its event is found", async () => {
  await stage.instance.run([fileURLToPath(new URL("stale_frame.py", import.meta.url))]);
  await until("the frame is a dead letter", async () => (await stage.instance.ask("GET", "/api/v1/dead-letters?kind=stale")).json.dead_letters.length > 0);
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/pipeline");
    await page.getByLabel("Kind of dead letter").selectOption("stale");
    const row = page.getByRole("region", { name: "Dead letters" }).getByRole("row").filter({ hasText: "stale" });
    await row.getByRole("button", { name: "Open" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Replay" }).click();
    await dialog.getByText("1 event stored now").waitFor();
    await dialog.getByRole("button", { name: "Replay" }).click();
    await dialog.getByText("replayed before").waitFor();
    await page.keyboard.press("Escape");
    await row.getByText("replayed").waitFor();
    await visit(page, stage.instance, "/logs?query=service:late");
    await page.getByText("late by eight days").waitFor();
  });
});

test("retention says what is due", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/pipeline");
    await page.getByRole("button", { name: "What is due now?" }).click();
    await page.getByText("Nothing is due").waitFor();
  });
});
