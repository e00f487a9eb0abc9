// Silences, maintenance windows, channels.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { visit } from "./browser.mjs";
import { onDesktop, stage } from "./stage.mjs";

test("alerts are silenced with a reason, the silence is changed, and ended", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/alerts?tab=silences");
    await page.getByRole("button", { name: "New silence" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Alerts that match all of these").fill("service=nobody");
    await dialog.getByLabel("Reason").fill("planned migration");
    await dialog.getByRole("button", { name: "Silence", exact: true }).click();
    const row = page.getByRole("row").filter({ hasText: "service=nobody" });
    await row.getByText("planned migration").waitFor();
    await row.getByRole("button", { name: "Edit" }).click();
    await dialog.getByLabel("Reason").fill("it takes longer");
    await dialog.getByLabel("From now for").selectOption("8h");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "detached" });
    await row.getByText("in 8 h").waitFor();
    await row.getByRole("button", { name: "End it" }).click();
    await row.getByText("expired").waitFor();
  });
});

test("a maintenance window is made, switched off, and removed", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/alerts?tab=silences");
    await page.getByRole("button", { name: "New window" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("nightly backup");
    await dialog.getByLabel("Alerts that match all of these").fill("host=~db-.*");
    for (const day of ["sat", "sun"]) await dialog.getByLabel(day).uncheck();
    await dialog.getByLabel("Begins at").fill("02:30");
    await dialog.getByLabel("Lasts").fill("90m");
    await dialog.getByLabel("By the clocks of").fill("Europe/Berlin");
    await dialog.getByLabel("First date").fill("2030-01-01");
    await dialog.getByLabel("Reason").fill("disks are busy");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "detached" });
    const row = page.getByRole("row").filter({ hasText: "nightly backup" });
    await row.getByText("mon to fri, 02:30 for 1h30m, Europe/Berlin").waitFor();
    await row.getByRole("button", { name: "Edit" }).click();
    await dialog.getByLabel("It is on").uncheck();
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "detached" });
    await row.getByText("off").waitFor();
    await row.getByRole("button", { name: "Edit" }).click();
    await dialog.getByRole("button", { name: "Remove", exact: true }).click();
    await dialog.getByRole("button", { name: "Remove it for good?" }).click();
    await row.waitFor({ state: "detached" });
  });
});

test("a channel is made, its test arrives, and it is changed and removed; one that nobody answers says so", async () => {
  const got = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (piece) => (body += piece));
    request.on("end", () => (got.push(body), response.end("ok")));
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  try {
    await onDesktop(async (page) => {
      await visit(page, stage.instance, "/alerts?tab=channels");
      const dialog = page.getByRole("dialog");
      const make = async (name, url) => {
        await page.getByRole("button", { name: "New channel" }).click();
        await page.getByRole("textbox", { name: /^Name/ }).fill(name);
        await page.getByRole("textbox", { name: /^Address/ }).fill(url);
        await page.getByLabel("Rules that name no channel use it").uncheck();
        await page.getByRole("button", { name: "Save" }).click();
        await dialog.waitFor({ state: "detached" });
      };
      await make("hook", `http://127.0.0.1:${server.address().port}/hook`);
      await make("nowhere", "http://127.0.0.1:9/hook");
      const row = page.getByRole("row").filter({ hasText: "hook" }).first();
      await row.getByRole("button", { name: "Test" }).click();
      await row.getByText(/^delivered/).waitFor();
      assert.equal(got.length, 1);
      assert.ok(JSON.parse(got[0]));
      const other = page.getByRole("row").filter({ hasText: "nowhere" });
      await other.getByRole("button", { name: "Test" }).click();
      await other.getByText(/not delivered|waits/).waitFor();
      await row.getByRole("button", { name: "Edit" }).click();
      await dialog.getByLabel("It is on").uncheck();
      await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "detached" });
      await row.getByText("off").waitFor();
      await row.getByRole("button", { name: "Edit" }).click();
      await dialog.getByRole("button", { name: "Remove", exact: true }).click();
      await dialog.getByRole("button", { name: "Remove it for good?" }).click();
      await page.getByRole("cell", { name: "hook", exact: true }).waitFor({ state: "detached" });
    });
  } finally {
    server.close();
  }
});
