// The dashboard in a real browser on a real instance: `make test-browser`.
// PAYLOADS=500 makes the long form of the script injections; SHOTS=folder keeps a picture of every page.
import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { AXE, DESKTOP, launch, open, PHONE, settled, visit } from "./browser.mjs";
import { Instance, until } from "./instance.mjs";
import { payloads } from "./payloads.mjs";

const PAGES = ["/", "/logs", "/logs?tab=patterns", "/explore?board=system", "/explore?board=own", "/explore?expr=sum(rate(shop_orders_total[5m]))", "/runs", "/runs?tab=evaluations", "/runs?tab=calls", "/runs?tab=caches", "/alerts", "/alerts?tab=rules", "/alerts?tab=silences", "/alerts?tab=channels", "/pipeline", "/admin", "/admin?tab=audit"];
const SHOTS = process.env.SHOTS;

let instance;
let browser;

before(async () => {
  instance = await Instance.start();
  await instance.fill();
  browser = await launch();
  if (SHOTS) await mkdir(SHOTS, { recursive: true });
});

after(async () => {
  await browser?.close();
  await instance?.stop();
});

async function on(viewport, run, scheme) {
  const page = await open(browser, instance, viewport, scheme);
  try {
    await run(page);
    assert.deepEqual(page.wrong, []);
  } finally {
    await page.context().close();
  }
}

for (const [name, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
  test(`every page is shown whole, without an error and without a failed request: ${name}`, async () => {
    await on(viewport, async (page) => {
      for (const path of PAGES) {
        await visit(page, instance, path);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        assert.ok(wide <= 0, `${path} is ${wide} pixels too wide`);
        assert.equal(await page.getByRole("alert").count(), 0, path);
        if (SHOTS) await page.screenshot({ path: `${SHOTS}/${name}-${path.replace(/[^a-z]+/g, "-")}.png` });
      }
    });
  });
}

for (const [scheme, viewport] of [["light", DESKTOP], ["dark", DESKTOP], ["light", PHONE]]) {
  test(`axe finds nothing serious on any page: ${scheme}, ${viewport.width} pixels wide`, async () => {
    await on(viewport, async (page) => {
      const found = [];
      for (const path of PAGES) {
        await visit(page, instance, path);
        await page.evaluate(() => document.querySelectorAll("main *").length); // laid out
        // evaluate() is not bound by the page's policy, which a script element would be.
        await page.evaluate(await (await import("node:fs/promises")).readFile(AXE, "utf8"));
        const result = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] }));
        for (const violation of result.violations) {
          if (["serious", "critical"].includes(violation.impact)) found.push(`${path}: ${violation.id} ${violation.nodes.map((node) => node.target.join(" ")).slice(0, 3).join(" | ")}`);
        }
      }
      assert.deepEqual(found, []);
    }, scheme);
  });
}

test("a person logs in with a key, a wrong one is told in words, and logs out", async () => {
  const page = await (await browser.newContext({ viewport: DESKTOP })).newPage();
  await page.goto(`${instance.url}/logs?query=chat`);
  await page.getByLabel("API key").fill("mon_0_0");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("alert").getByText("unknown, expired or revoked").waitFor();
  await page.getByLabel("API key").fill(instance.key);
  await page.getByRole("button", { name: "Log in" }).click();
  await settled(page);
  assert.equal(new URL(page.url()).searchParams.get("query"), "chat");
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByLabel("API key").waitFor();
  await page.context().close();
});

test("clicking narrows a search: level, value of a field, bars of the chart; the address tells it all", async () => {
  await on(DESKTOP, async (page) => {
    await visit(page, instance, "/logs");
    await page.getByRole("button", { name: /^error \d/ }).click();
    await page.waitForURL(/query=level%3Aerror/);
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

test("a query that cannot be understood is told under the box, at its column", async () => {
  const page = await open(browser, instance);
  await visit(page, instance, "/logs");
  await page.keyboard.press("/");
  await page.keyboard.type("service:(");
  await page.keyboard.press("Enter");
  await page.getByText("unclosed parenthesis").waitFor();
  await page.context().close();
});

test("fields and values are completed", async () => {
  await on(DESKTOP, async (page) => {
    await visit(page, instance, "/logs");
    await page.keyboard.press("/");
    await page.keyboard.type("serv");
    await page.getByRole("option", { name: /^service:/ }).waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.keyboard.type("tr");
    await page.getByRole("option", { name: /^trainer/ }).waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Enter");
    await page.waitForURL(/query=service%3Atrainer/);
  });
});

test("keys move through events, open them and show their neighbours", async () => {
  await on(DESKTOP, async (page) => {
    await visit(page, instance, "/logs?query=service:gateway");
    await page.locator("[data-event]").first().waitFor();
    for (const key of ["j", "j", "o"]) await page.keyboard.press(key);
    await page.getByRole("button", { name: "Context" }).waitFor();
    await page.keyboard.press("c");
    await page.getByRole("dialog", { name: /Around this event: gateway/ }).waitFor();
    await page.locator("li[aria-current]").waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
  });
});

test("the live tail shows what arrives, and holds still while somebody reads", async () => {
  await on(DESKTOP, async (page) => {
    await visit(page, instance, "/logs?live=1&query=service:live");
    await page.getByText("live ·").waitFor();
    await instance.send([{ message: "first of the tail", service: "live" }]);
    await page.getByText("first of the tail").waitFor();
    await page.locator("[data-event]").first().click();
    await instance.send([{ message: "second of the tail", service: "live" }]);
    await page.getByRole("button", { name: "1 new" }).click();
    await page.getByText("second of the tail").waitFor();
  });
});

test("a search is saved for all, run from the list, and forgotten", async () => {
  await on(DESKTOP, async (page) => {
    await visit(page, instance, "/logs?query=level:error");
    await page.getByRole("button", { name: "Saved", exact: true }).click();
    await page.getByLabel("Save this search as").fill("all errors");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByRole("button", { name: "Forget all errors" }).click();
    await page.getByText("None yet").waitFor();
  });
});

test("a key is made, shown once, and revoked; the audit log has both", async () => {
  await on(DESKTOP, async (page) => {
    await visit(page, instance, "/admin");
    await page.getByRole("button", { name: "New key" }).click();
    await page.getByLabel("Name").fill("browser-test");
    await page.getByRole("button", { name: "Make the key" }).click();
    await page.getByText("the only time").waitFor();
    await page.keyboard.press("Escape");
    const row = page.getByRole("row").filter({ hasText: "browser-test" });
    await row.getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("button", { name: "Revoke the key" }).click();
    await row.getByText("revoked").waitFor();
    await page.getByRole("button", { name: "Audit log" }).click();
    await page.getByText("key.revoke").first().waitFor();
  });
});

test("a dead letter is shown as it came", async () => {
  await on(DESKTOP, async (page) => {
    await visit(page, instance, "/pipeline");
    await page.getByRole("row").filter({ hasText: "this is no event" }).getByRole("button", { name: "Open" }).click();
    await page.getByRole("dialog").getByText("this is no event").waitFor();
  });
});

test("a dead letter is replayed, and what it says then is told", async () => {
  await on(DESKTOP, async (page) => {
    await visit(page, instance, "/pipeline");
    await page.getByRole("row").filter({ hasText: "this is no event" }).getByRole("button", { name: "Open" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Replay" }).click();
    await page.getByRole("dialog").locator('[role="status"], [role="alert"]').filter({ hasText: /\w/ }).first().waitFor();
    page.wrong = page.wrong.filter((one) => !/replay|the server responded with a status of 4/.test(one)); // one that is no event still is none
  });
});

test("alerts are silenced with a reason, and the silence is listed", async () => {
  await on(DESKTOP, async (page) => {
    await visit(page, instance, "/alerts?tab=silences");
    await page.getByRole("button", { name: "New silence" }).click();
    await page.getByLabel("Alerts that match all of these").fill("service=nobody");
    await page.getByLabel("Reason").fill("planned migration");
    await page.getByRole("dialog").getByRole("button", { name: "Silence", exact: true }).click();
    await page.getByText("planned migration").waitFor();
  });
});

test("a channel is made, and its test says what came of it", async () => {
  await on(DESKTOP, async (page) => {
    await visit(page, instance, "/alerts?tab=channels");
    await page.getByRole("button", { name: "New channel" }).click();
    await page.getByRole("textbox", { name: /^Name/ }).fill("nowhere");
    await page.getByRole("textbox", { name: /^Address/ }).fill("https://127.0.0.1:9/hook");
    await page.getByLabel("Rules that name no channel use it").uncheck();
    await page.getByRole("button", { name: "Save" }).click();
    const row = page.getByRole("row").filter({ hasText: "nowhere" });
    await row.getByRole("button", { name: "Test" }).click();
    await row.getByText(/delivered|waits/).waitFor();
  });
});

test("what a search finds is exported as CSV", async () => {
  await on(DESKTOP, async (page) => {
    await visit(page, instance, "/logs?query=service:gateway");
    await page.getByRole("button", { name: "More" }).click();
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByText("Export as CSV").click()]);
    const text = await readFile(await download.path(), "utf8");
    assert.match(text, /timestamp/);
    assert.match(text, /gateway/);
  });
});

test("Explore goes from the list of metrics to a chart, and takes another expression beside it", async () => {
  await on(DESKTOP, async (page) => {
    await visit(page, instance, "/explore?board=own");
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

test("what cannot be refreshed is marked as stale, and is fresh again when the server is", async () => {
  const page = await open(browser, instance);
  await visit(page, instance, "/pipeline");
  await page.context().setOffline(true);
  await page.getByRole("button", { name: /Refresh now/ }).click();
  await page.getByText("Stale: as of").waitFor();
  assert.ok(await page.getByRole("region", { name: "Partitions" }).isVisible());
  await page.context().setOffline(false);
  await page.getByRole("button", { name: /Refresh now/ }).click();
  await page.getByText("Stale: as of").waitFor({ state: "detached" });
  await page.context().close();
});

test("scripts in events are text: in the list, opened, as patterns, as values of fields, in the live tail", async () => {
  const count = Number(process.env.PAYLOADS ?? 40);
  const all = payloads(count);
  await instance.send(all.map((text) => ({ message: text, service: text.slice(0, 60), host: text, logger: text, attributes: undefined, [text.slice(0, 40)]: text, link: text, exception: { type: text, message: text, stacktrace: `Traceback\n  File "${text}"\n${text}` }, level: "error", suite: "xss" })));
  await on(DESKTOP, async (page) => {
    await page.addInitScript(() => (window.pwned = 0));
    let opened = 0;
    await visit(page, instance, "/logs?query=suite:xss");
    while (opened < Math.min(count, 60)) {
      await page.keyboard.press("j");
      await page.keyboard.press("o");
      const fold = page.locator('button[aria-expanded="false"]', { hasText: "frames" });
      if (await fold.count()) await fold.first().click();
      await page.keyboard.press("o");
      opened += 1;
    }
    await visit(page, instance, "/logs?query=suite:xss&tab=patterns");
    await page.getByRole("region", { name: "Patterns" }).waitFor();
    await visit(page, instance, "/");
    await visit(page, instance, "/runs");
    for (const text of all.slice(0, 15)) {
      await page.goto(`${instance.url}/logs?query=${encodeURIComponent(JSON.stringify(text))}`);
      await settled(page);
    }
    assert.equal(await page.evaluate(() => window.pwned), 0);
  });
});

test("a rule is written and tried, its alert fires, is acknowledged from the phone and resolved", async () => {
  await on(DESKTOP, async (page) => {
    await visit(page, instance, "/alerts?tab=rules");
    await page.getByRole("button", { name: "New rule" }).click();
    await page.getByLabel("Name").fill("Refused upstreams");
    await page.getByLabel("When").selectOption("logs");
    await page.getByLabel("Search logs").fill("refused level:error");
    await page.getByLabel("Search logs").press("Enter");
    await page.getByLabel("Threshold").fill("1");
    await page.getByLabel("Window").fill("1h");
    await page.getByLabel("For", { exact: true }).fill("0s");
    await page.getByRole("button", { name: "Test it" }).click();
    await page.getByText(/It would have fired/).waitFor();
    if (SHOTS) await page.screenshot({ path: `${SHOTS}/rule-editor.png` });
    await page.getByRole("button", { name: "Add the rule" }).click();
    await page.getByRole("row").filter({ hasText: "Refused upstreams" }).waitFor();
  });
  const alert = await until("the alert is active", async () => (await instance.ask("GET", "/api/v1/alerts?state=active")).json.alerts[0]);
  await on(PHONE, async (page) => {
    await visit(page, instance, `/alerts/${alert.id}`);
    if (SHOTS) await page.screenshot({ path: `${SHOTS}/phone-alert.png` });
    await page.getByRole("button", { name: "Acknowledge" }).click();
    await page.getByLabel("Comment").last().fill("looking into it");
    await page.getByRole("dialog").getByRole("button", { name: "Acknowledge" }).click();
    await page.getByText("acknowledged by").first().waitFor();
    await page.getByText("looking into it").waitFor();
    await page.getByRole("button", { name: "Resolve" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Resolve" }).click();
    await page.getByText("resolved", { exact: true }).first().waitFor();
  });
});

test("a hundred thousand rows scroll, and only those in sight exist", { skip: !process.env.ROWS && "ROWS=100000 makes it" }, async () => {
  const rows = Number(process.env.ROWS);
  for (let sent = 0; sent < rows; sent += 5000) await instance.send(Array.from({ length: 5000 }, (_, at) => ({ message: `row ${sent + at}`, service: "rows" })));
  await on(DESKTOP, async (page) => {
    await visit(page, instance, "/logs?query=service:rows&start=-1d");
    const list = page.getByTestId("events");
    await until("all rows are loaded", async () => {
      await list.evaluate((element) => element.scrollTo({ top: element.scrollHeight }));
      return await page.getByText("That is all in this range").isVisible();
    }, 600);
    const frames = await list.evaluate(async (element) => {
      const took = [];
      for (let step = 0; step < 120; step += 1) {
        const began = performance.now();
        element.scrollTo({ top: (element.scrollHeight * step) / 120 });
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        took.push(performance.now() - began);
      }
      return took.sort((a, b) => a - b);
    });
    console.log(`two frames after a jump: median ${frames[60].toFixed(1)} ms, 95 of 100 ${frames[114].toFixed(1)} ms, worst ${frames[119].toFixed(1)} ms`);
    assert.ok((await page.locator("[data-event]").count()) < 200);
  });
});
