// Alerts: a rule, its alert, and what people do about it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { DESKTOP, PHONE, visit } from "./browser.mjs";
import { until } from "./instance.mjs";
import { on, onDesktop, SHOTS, stage } from "./stage.mjs";

async function alertOf(rule, state = "active") {
  return await until(`an alert of ${rule} is ${state}`, async () => (await stage.instance.ask("GET", `/api/v1/alerts?state=${state}`)).json.alerts.find((one) => one.rule === rule));
}

test("a rule is written and tried, its alert fires, is acknowledged from the phone and resolved", async () => {
  await on(DESKTOP, async (page) => {
    await visit(page, stage.instance, "/alerts?tab=rules");
    await page.getByRole("button", { name: "New rule" }).click();
    await page.getByLabel("Name").fill("Refused upstreams");
    await page.getByLabel("When", { exact: true }).selectOption("logs");
    await page.getByLabel("Search logs").fill("refused level:error");
    await page.getByLabel("Threshold").fill("1");
    await page.getByLabel("Window").fill("1h");
    await page.getByLabel("For", { exact: true }).fill("0s");
    await page.getByRole("button", { name: "Test it" }).click();
    await page.getByText(/It would have fired/).waitFor();
    if (SHOTS) await page.screenshot({ path: `${SHOTS}/rule-editor.png` });
    await page.getByRole("button", { name: "Add the rule" }).click();
    await page.getByRole("row").filter({ hasText: "Refused upstreams" }).waitFor();
  });
  const alert = await alertOf("Refused upstreams");
  await on(PHONE, async (page) => {
    await visit(page, stage.instance, `/alerts/${alert.id}`);
    if (SHOTS) await page.screenshot({ path: `${SHOTS}/phone-alert.png` });
    await page.getByText("upstream connection refused").first().waitFor();
    await page.getByRole("button", { name: "Acknowledge" }).click();
    await page.getByLabel("Comment").last().fill("looking into it");
    await page.getByRole("dialog").getByRole("button", { name: "Acknowledge" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.getByText("acknowledged by").first().waitFor();
    await page.getByText("looking into it").waitFor();
    await page.getByLabel("Comment", { exact: true }).fill("it was the proxy");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.getByText("it was the proxy").waitFor();
    await page.getByRole("button", { name: "Resolve" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Resolve" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.getByText("resolved", { exact: true }).first().waitFor();
    await page.getByRole("link", { name: "All of it" }).click();
    await page.waitForURL(/\/logs\?query=refused/);
  });
});

test("alerts are found, acknowledged, silenced and resolved from the list, and history keeps them", async () => {
  const rule = (name) => ({ name, kind: "metric", expr: "vector(3)", operator: ">", threshold: 1, interval: "5s", annotations: { summary: `${name} is three` } });
  for (const name of ["From the list", "Another one"]) await stage.instance.ask("POST", "/api/v1/rules", rule(name));
  for (const name of ["From the list", "Another one"]) await alertOf(name);
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/alerts");
    await page.keyboard.press("/");
    await page.keyboard.type("from the list");
    await page.getByText("Another one is three").waitFor({ state: "detached" });
    await page.waitForURL(/find=from\+the\+list/);
    const row = page.getByRole("listitem").filter({ hasText: "From the list is three" });
    await row.getByText("3 (> 1)").waitFor();
    await row.getByRole("button", { name: "Acknowledge" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Acknowledge" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await row.getByText("acknowledged by").waitFor();
    await row.getByRole("button", { name: "Silence" }).click();
    const dialog = page.getByRole("dialog");
    assert.match(await dialog.getByLabel("Alerts that match all of these").inputValue(), /^rule=From the list/);
    await dialog.getByLabel("Reason").fill("it is known");
    await dialog.getByRole("button", { name: "Silence", exact: true }).click();
    await dialog.waitFor({ state: "detached" });
    await row.getByRole("button", { name: "Resolve" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Resolve" }).click();
    await row.waitFor({ state: "detached" });
    await page.getByRole("button", { name: "History" }).click();
    await page.waitForURL(/tab=history/);
    await page.getByRole("link", { name: /From the list is three/ }).click();
    await page.getByRole("figure", { name: "vector(3)" }).waitFor();
    await page.getByText("active → acknowledged").waitFor();
    await page.getByRole("link", { name: "All alerts" }).click();
    await page.waitForURL(/\/alerts$/);
  });
  for (const name of ["From the list", "Another one"]) await stage.instance.ask("DELETE", `/api/v1/rules/${encodeURIComponent(name)}`);
});

test("a rule says who is told later, what keeps it quiet, and is switched off, changed and removed", async () => {
  await stage.instance.ask("POST", "/api/v1/channels", { name: "later", kind: "webhook", config: { url: "https://127.0.0.1:9/x" }, default: false, enabled: true });
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/alerts?tab=rules");
    await page.getByRole("button", { name: "New rule" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("Everything");
    await dialog.getByLabel("Expression").fill("vector(0)");
    await dialog.getByLabel("Threshold").fill("1");
    await dialog.getByRole("figure", { name: "vector(0)" }).waitFor();
    await dialog.getByLabel("Cooldown").fill("10m");
    await dialog.getByText("Escalation, inhibition, labels").click();
    await dialog.getByRole("button", { name: "Step of escalation" }).click();
    await dialog.getByLabel("After, step 1").fill("soon");
    await dialog.getByRole("group", { name: "Told in step 1" }).getByLabel("later").check();
    await dialog.getByRole("button", { name: "Inhibition", exact: true }).click();
    await dialog.getByLabel("Quiet while this rule fires, 1").selectOption("System unavailable");
    await dialog.getByLabel("With the same").fill("host, service");
    await dialog.getByRole("textbox", { name: "Labels" }).fill("team=search");
    await dialog.getByRole("button", { name: "Add the rule" }).click();
    await dialog.getByText(/no such duration/).first().waitFor();
    await dialog.getByLabel("After, step 1").fill("15m");
    await dialog.getByRole("button", { name: "Add the rule" }).click();
    const row = page.getByRole("row").filter({ hasText: "Everything" });
    await row.getByRole("button", { name: "Off" }).click();
    await row.getByText("disabled").waitFor();
    await row.getByRole("button", { name: "On" }).click();
    const kept = (await stage.instance.ask("GET", "/api/v1/rules/Everything")).json;
    assert.deepEqual([kept.escalation, kept.inhibited_by, kept.labels, kept.cooldown], [[{ after: "15m", channels: ["later"] }], [{ rule: "System unavailable", equal: ["host", "service"] }], { team: "search" }, "10m"]);
    await row.getByRole("button", { name: "Edit" }).click();
    await dialog.getByRole("button", { name: "Remove step 1" }).click();
    await dialog.getByLabel("Severity").selectOption("critical");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "detached" });
    await row.getByText("critical").waitFor();
    assert.deepEqual((await stage.instance.ask("GET", "/api/v1/rules/Everything")).json.escalation, []);
    await row.getByRole("button", { name: "Edit" }).click();
    await dialog.getByRole("button", { name: "Remove", exact: true }).click();
    await dialog.getByRole("button", { name: /end its alerts/ }).click();
    await row.waitFor({ state: "detached" });
  }, { expected: /\/api\/v1\/rules|status of 400/ });
});
