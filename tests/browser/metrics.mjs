// Metrics: boards, expressions, metrics derived from logs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { open, settled, visit } from "./browser.mjs";
import { onDesktop, stage } from "./stage.mjs";

test("Explore goes from the list of metrics to a chart, and takes another expression beside it", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/explore?board=own");
    await page.getByLabel("Find a metric").fill("shop");
    await page.getByRole("button", { name: /^shop_orders_total/ }).click();
    await page.waitForURL(/expr=sum/);
    await page.getByRole("region", { name: "Latest values" }).waitFor();
    await page.getByRole("button", { name: "Another expression" }).click();
    await page.getByLabel("Expression 2", { exact: true }).fill("vector(1)");
    await page.getByLabel("Expression 2", { exact: true }).press("Enter");
    await page.waitForURL(/expr=.*expr=vector/);
    await page.getByRole("button", { name: "Remove expression 2" }).click();
    await page.waitForURL((url) => url.searchParams.getAll("expr").length === 1);
  });
});

test("metrics, labels and their values are completed, and what is wrong is marked at its column", async () => {
  const page = await open(stage.browser, stage.instance);
  await visit(page, stage.instance, "/explore?board=own");
  const box = page.getByLabel("Expression 1", { exact: true });
  await box.pressSequentially("http_server_act");
  await page.getByRole("option", { name: /^http_server_active_requests/ }).waitFor();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await box.pressSequentially("{serv");
  await page.getByRole("option", { name: "service" }).waitFor();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Tab");
  await box.pressSequentially('="gate');
  await page.getByRole("option", { name: "gateway" }).waitFor();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  assert.equal(await box.inputValue(), 'http_server_active_requests{service="gateway');
  await box.fill("sum(rate(x[5m])");
  await box.press("Enter");
  await page.getByRole("alert").getByText("unclosed left parenthesis").waitFor();
  assert.match(await page.getByRole("alert").locator("pre").textContent(), /\n {3}\^/);
  await page.context().close();
});

test("charts of a board share their cursor, show one line alone, are zoomed by dragging and explored", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/explore?board=api");
    const canvas = page.locator("figure canvas").first();
    await canvas.waitFor();
    const box = await canvas.boundingBox();
    await page.mouse.move(box.x + box.width * 0.8, box.y + box.height / 2);
    await page.waitForFunction(() => {
      const moments = [...document.querySelectorAll("figcaption > span")].map((one) => one.textContent);
      return moments.length > 1 && new Set(moments).size === 1;
    });
    const line = page.getByRole("figure", { name: "Requests", exact: true }).getByRole("button", { name: /gateway/ });
    await line.click();
    assert.equal(await line.getAttribute("aria-pressed"), "true");
    await line.click();
    await page.mouse.move(box.x + box.width * 0.6, box.y + box.height / 2);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.8, box.y + box.height / 2, { steps: 5 });
    await page.mouse.up();
    await page.waitForURL(/start=2\d{3}-.*end=2\d{3}-/);
    await settled(page);
    await page.getByRole("button", { name: "Explore Error rate" }).click();
    await page.waitForURL(/board=own.*expr=/);
  });
});

test("a metric is derived from logs, looked at, changed and given up", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/explore?board=derived");
    await page.getByRole("button", { name: "New metric" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("slow_requests_total");
    await dialog.getByLabel("Search logs").fill("duration_ms:>500");
    await dialog.getByLabel("Labels").fill("service");
    await dialog.getByText(/lines? matched in the last day/).waitFor();
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "detached" });
    const row = page.getByRole("row").filter({ hasText: "slow_requests_total" });
    await row.getByText("duration_ms:>500").first().waitFor();
    await row.getByRole("button", { name: "Edit" }).click();
    await dialog.getByLabel("Help").fill("Requests that took long");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "detached" });
    await row.getByText("Requests that took long").waitFor();
    await row.getByRole("button", { name: "Chart of slow_requests_total" }).click();
    await page.waitForURL(/expr=sum%28rate%28slow_requests_total/);
    await page.goBack();
    await row.getByRole("button", { name: "Edit" }).click();
    await dialog.getByRole("button", { name: "Remove" }).click();
    await dialog.getByRole("button", { name: "Derive it no more?" }).click();
    await row.waitFor({ state: "detached" });
  });
});
