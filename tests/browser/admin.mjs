// Admin: keys and the audit log.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { DESKTOP, open, visit } from "./browser.mjs";
import { copied, onDesktop, stage } from "./stage.mjs";

test("a key is made, shown once, and revoked; the audit log has both", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/admin");
    await page.getByRole("button", { name: "New key" }).click();
    await page.getByLabel("Name").fill("browser-test");
    await page.getByLabel("Role").selectOption("viewer");
    await page.getByRole("button", { name: "Make the key" }).click();
    await page.getByText("the only time").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Copy" }).click();
    await page.waitForFunction(() => navigator.clipboard.readText().then((text) => text.startsWith("mon_")));
    const key = await copied(page);
    await page.keyboard.press("Escape");
    const viewer = await open(stage.browser, { ...stage.instance, url: stage.instance.url, key }, DESKTOP);
    await visit(viewer, stage.instance, "/admin");
    await viewer.getByText("For administrators").waitFor();
    await visit(viewer, stage.instance, "/alerts?tab=rules");
    assert.equal(await viewer.getByRole("button", { name: "New rule" }).count(), 0, "a viewer is offered nothing that is refused");
    await visit(viewer, stage.instance, "/pipeline");
    await viewer.getByText("shown to administrators").waitFor();
    assert.deepEqual(viewer.wrong, []);
    await viewer.context().close();
    const row = page.getByRole("row").filter({ hasText: "browser-test" });
    await row.getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("button", { name: "Keep it" }).click();
    await row.getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("button", { name: "Revoke the key" }).click();
    await row.getByText("revoked").waitFor();
    await page.getByRole("button", { name: "Audit log" }).click();
    await page.getByText("key.revoke").first().waitFor();
  });
});

test("the audit log is searched, opened, read on and exported", async () => {
  for (let times = 0; times < 110; times += 1) await stage.instance.ask("PUT", "/api/v1/searches/audited", { query: `level:error x${times}` });
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/admin?tab=audit");
    await page.getByRole("button", { name: "Older entries" }).click();
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length > 100);
    await page.getByLabel("Find in the audit log").fill("search.save");
    await page.waitForResponse((answer) => answer.url().includes("query=search.save"));
    await page.getByRole("button", { name: "Details" }).first().click();
    await page.getByRole("dialog").getByText("x109").first().waitFor();
    await page.keyboard.press("Escape");
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByText("Export", { exact: true }).click()]);
    assert.match(await readFile(await download.path(), "utf8"), /audited/);
  });
});
