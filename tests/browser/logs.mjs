// Logs: search, chart, fields, events, context, patterns, tail, saved searches, export, keys.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { DESKTOP, open, PHONE, settled, visit } from "./browser.mjs";
import { copied, on, onDesktop, stage } from "./stage.mjs";

test("clicking narrows a search: level, value of a field, bars of the chart; the address tells it all", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/logs?query=service:billing");
    await page.getByRole("button", { name: /^error \d/ }).click();
    await page.waitForURL(/level%3Aerror/);
    await settled(page);
    await page.locator("[data-event]").first().click();
    await page.getByRole("button", { name: "ConnectionError: upstream refused" }).click();
    await page.getByLabel("Stack trace").getByText("views.py").waitFor();
    await page.getByRole("button", { name: /^Only host/ }).click();
    await page.waitForURL(/host%3Ahost-\d/);
    const chart = await page.getByRole("img", { name: /events in/ }).boundingBox();
    await page.mouse.move(chart.x + chart.width * 0.3, chart.y + 20);
    await page.mouse.down();
    await page.mouse.move(chart.x + chart.width * 0.6, chart.y + 20, { steps: 4 });
    await page.mouse.up();
    await page.waitForURL(/start=2\d{3}-/);
    await page.goBack();
    assert.ok(!page.url().includes("start=2"));
  });
});

test("values are left out by the minus of a field and of an attribute, and a field chosen twice is not asked for", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/logs");
    await page.getByRole("button", { name: /^billing \d/ }).click();
    await page.waitForURL(/query=service%3Abilling/);
    await page.getByRole("button", { name: /^billing \d/ }).click();
    await page.waitForURL((url) => !url.searchParams.get("query"));
    await page.getByRole("button", { name: "Leave out billing" }).click();
    await page.waitForURL(/query=-service%3Abilling/);
    await settled(page);
    await page.locator("[data-event]").first().click();
    await page.getByRole("button", { name: /^Without service/ }).click();
    await page.waitForURL((url) => url.searchParams.get("query").split(" ").length === 2);
  });
});

test("a query that cannot be understood is told under the box, at its column, and cleared", async () => {
  const page = await open(stage.browser, stage.instance);
  await visit(page, stage.instance, "/logs");
  await page.keyboard.press("/");
  await page.keyboard.type("service:(");
  await page.keyboard.press("Enter");
  await page.getByText("unclosed parenthesis").waitFor();
  assert.match(await page.getByRole("alert").locator("pre").textContent(), /\n {8}\^/);
  await page.getByRole("button", { name: "Clear" }).click();
  await page.getByText("unclosed parenthesis").waitFor({ state: "detached" });
  await page.context().close();
});

test("fields and values are completed", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/logs");
    await page.keyboard.press("/");
    await page.keyboard.type("serv");
    await page.getByRole("option", { name: /^service:/ }).waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.keyboard.type("bil");
    await page.getByRole("option", { name: /^billing/ }).waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Enter");
    await page.waitForURL(/query=service%3Abilling/);
  });
});

test("keys move through events, open them and show their neighbours; Escape closes", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/logs?query=service:api");
    await page.locator("[data-event]").first().waitFor();
    for (const key of ["j", "j", "k", "o"]) await page.keyboard.press(key);
    await page.getByRole("button", { name: "Context" }).waitFor();
    await page.keyboard.press("c");
    await page.getByRole("dialog", { name: /Around this event: api/ }).waitFor();
    await page.locator("li[aria-current]").waitFor();
    const before = await page.getByRole("dialog").locator("li").count();
    await page.getByRole("button", { name: "Show more on both sides" }).click();
    await page.waitForFunction((few) => document.querySelectorAll("dialog li").length > few, before);
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Context" }).waitFor({ state: "detached" });
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
  });
});

test("an event is copied as JSON, as a value, and as a link that shows it; its trace is one click away", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/logs?query=service:billing level:error");
    await page.locator("[data-event]").first().click();
    await page.getByRole("button", { name: "JSON" }).click();
    await page.getByRole("status").filter({ hasText: "Copied" }).first().waitFor({ state: "attached" });
    const event = JSON.parse(await copied(page));
    assert.equal(event.service, "billing");
    await page.getByRole("button", { name: "Copy host" }).click();
    await page.waitForFunction((host) => navigator.clipboard.readText().then((text) => text === host), event.host);
    await page.getByRole("button", { name: "Link", exact: true }).click();
    await page.waitForFunction(() => navigator.clipboard.readText().then((text) => text.startsWith("http")));
    const link = await copied(page);
    await page.getByRole("button", { name: "This trace" }).click();
    await page.waitForURL(/trace_id/);
    await page.goto(link);
    await settled(page);
    await page.getByRole("dialog", { name: "Event" }).getByText(event.message).first().waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Context" }).click();
    await page.getByRole("dialog", { name: /Around this event/ }).waitFor();
  });
});

test("similar messages are folded to patterns, and a pattern leads to its events", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/logs?query=service:api");
    await page.getByRole("button", { name: "Patterns" }).click();
    await page.waitForURL(/tab=patterns/);
    await page.getByRole("button", { name: /upstream connection refused/ }).click();
    await page.waitForURL(/message%3A%22upstream/);
  });
});

test("the chart and the fields are put away and brought back, on a phone the fields are a sheet", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/logs");
    for (const [button, part] of [["Chart", page.getByRole("img", { name: /events in/ })], ["Fields", page.getByRole("complementary", { name: "Fields" })]]) {
      await page.getByRole("button", { name: button, exact: true }).first().click();
      await part.waitFor({ state: "detached" });
      await page.getByRole("button", { name: button, exact: true }).first().click();
      await part.waitFor();
    }
  });
  await on(PHONE, async (page) => {
    await visit(page, stage.instance, "/logs");
    await page.getByRole("button", { name: "Fields" }).locator("visible=true").click();
    await page.getByRole("dialog", { name: "Fields" }).getByRole("button", { name: /^gateway \d/ }).click();
    await page.waitForURL(/query=service%3Agateway/);
  });
});

test("an empty search offers a longer range, to be cleared, and how to send a first event", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/logs?query=service:nobody");
    await page.getByRole("button", { name: "Look at the last 7 days" }).click();
    await page.waitForURL(/start=-7d/);
    await page.getByRole("button", { name: "Clear the search" }).click();
    await page.waitForURL((url) => !url.searchParams.get("query"));
    await visit(page, stage.instance, "/logs?start=2020-01-01T00:00:00Z&end=2020-01-02T00:00:00Z");
    await page.getByRole("figure").filter({ hasText: "role ingest" }).getByRole("button", { name: "Copy" }).click();
    await page.waitForFunction(() => navigator.clipboard.readText().then((text) => text.startsWith("curl")));
  });
});

test("the live tail shows what arrives, holds still while somebody reads, and pauses", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/logs?query=service:live");
    await page.keyboard.press("l");
    await page.waitForURL(/live=1/);
    await page.getByText("live ·").waitFor();
    await stage.instance.send([{ message: "first of the tail", service: "live" }]);
    await page.getByText("first of the tail").waitFor();
    await page.locator("[data-event]").first().click();
    await stage.instance.send([{ message: "second of the tail", service: "live" }]);
    await page.getByRole("button", { name: "1 new" }).click();
    await page.getByText("second of the tail").waitFor();
    await page.keyboard.press("p");
    await page.getByRole("button", { name: "Paused" }).waitFor();
    await stage.instance.send([{ message: "third of the tail", service: "live" }]);
    await page.getByRole("button", { name: "1 new" }).waitFor();
    await page.keyboard.press("n");
    await page.getByText("third of the tail").waitFor();
    await page.getByRole("button", { name: "Live", exact: true }).click();
    await page.waitForURL((url) => !url.searchParams.get("live"));
  });
});

test("a search is saved for all, run from the list, and forgotten", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/logs?query=level:error");
    await page.getByRole("button", { name: "Saved", exact: true }).click();
    await page.getByLabel("Save this search as").fill("all errors");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByRole("button", { name: "Forget all errors" }).waitFor();
    await visit(page, stage.instance, "/logs");
    await page.getByRole("button", { name: "Saved", exact: true }).click();
    await page.getByRole("button", { name: /^all errors/ }).click();
    await page.waitForURL(/query=level%3Aerror/);
    await page.getByRole("button", { name: "Saved", exact: true }).click();
    await page.getByRole("button", { name: "Forget all errors" }).click();
    await page.getByText("None yet").waitFor();
  });
});

test("what a search finds is exported as CSV and as lines of JSON, and its view is copied as a link", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/logs?query=service:api");
    const taken = async (words) => {
      await page.getByRole("button", { name: "More" }).click();
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByText(words).click()]);
      return await readFile(await download.path(), "utf8");
    };
    assert.match(await taken("Export as CSV"), /timestamp[^]*api/);
    assert.equal(JSON.parse((await taken("Export as lines of JSON")).split("\n")[0]).service, "api");
    await page.getByRole("button", { name: "More" }).click();
    await page.getByRole("button", { name: "Copy a link to this view" }).click();
    await page.waitForFunction(() => navigator.clipboard.readText().then((text) => text === location.href));
  });
});

test("older events come as the list is scrolled, and a key leads back to the newest", async () => {
  await on(DESKTOP, async (page) => {
    await visit(page, stage.instance, "/logs?query=environment:demo");
    const list = page.getByTestId("events");
    const first = await page.locator("[data-event]").first().getAttribute("data-event");
    for (let times = 0; times < 3; times += 1) {
      const next = page.waitForResponse((answer) => answer.url().includes("cursor="));
      await list.evaluate((element) => element.scrollTo({ top: element.scrollHeight }));
      await next;
    }
    await page.getByRole("button", { name: "To the newest" }).waitFor();
    await page.keyboard.press("n");
    await page.waitForFunction(() => document.querySelector("[data-testid=events]").scrollTop === 0);
    assert.ok(first);
  });
});
