// What takes long, and is asked for by the environment: PAYLOADS, ROWS, ALERT.
import assert from "node:assert/strict";
import { test } from "node:test";
import { settled, visit } from "./browser.mjs";
import { until } from "./instance.mjs";
import { payloads } from "./payloads.mjs";
import { onDesktop, stage } from "./stage.mjs";

const ALERT_SECONDS = 900; // active within two minutes, rolled back after three, out of the five-minute window after five more

test("scripts in events are text: in the list, opened, as patterns, as values of fields, in the live tail", async () => {
  const count = Number(process.env.PAYLOADS ?? 40);
  const all = payloads(count);
  const events = all.map((text) => ({ message: text, service: text.slice(0, 60), host: text, logger: text, [text.slice(0, 40)]: text, link: text, exception: { type: text, message: text, stacktrace: `Traceback\n  File "${text}"\n${text}` }, level: "error", suite: "xss" }));
  await stage.instance.send(events);
  await onDesktop(async (page) => {
    await page.addInitScript(() => (window.pwned = 0));
    await visit(page, stage.instance, "/logs?query=suite:xss");
    let unfolded = 0;
    for (let opened = 0; opened < count; opened += 1) {
      await page.keyboard.press("j");
      await page.keyboard.press("o");
      const fold = page.locator('button[aria-expanded="false"]', { hasText: "frames" });
      if (await fold.count()) {
        await fold.first().click();
        unfolded += 1;
      }
      await page.keyboard.press("o");
    }
    assert.ok(unfolded > count / 2, `${unfolded} stacks of ${count} events were looked at`);
    await visit(page, stage.instance, "/logs?query=suite:xss&tab=patterns");
    await page.getByRole("region", { name: "Patterns" }).waitFor();
    for (const path of ["/", "/runs", "/alerts", "/logs?live=1&query=suite:xss"]) await visit(page, stage.instance, path);
    await page.locator("[data-event]").first().waitFor();
    for (const text of all.slice(0, 15)) {
      await page.goto(`${stage.instance.url}/logs?query=${encodeURIComponent(JSON.stringify(text))}`);
      await settled(page);
    }
    assert.equal(await page.evaluate(() => window.pwned), 0);
    console.log(`${count} payloads, ${unfolded} stacks unfolded, 0 executions`);
  });
});

test("a hundred thousand rows scroll, and only those in sight exist", { skip: !process.env.ROWS && "ROWS=100000 makes it" }, async () => {
  const rows = Number(process.env.ROWS);
  for (let sent = 0; sent < rows; sent += 5000) await stage.instance.send(Array.from({ length: 5000 }, (_, at) => ({ message: `row ${sent + at}`, service: "rows" })));
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/logs?query=service:rows&start=-1d");
    const list = page.getByTestId("events");
    await until("all rows are loaded", async () => {
      await list.evaluate((element) => element.scrollTo({ top: element.scrollHeight }));
      return await page.getByText("That is all in this range").isVisible();
    }, 600);
    const { frames, long } = await list.evaluate(async (element) => {
      const long = [];
      new PerformanceObserver((seen) => long.push(...seen.getEntries().map((one) => one.duration))).observe({ type: "longtask" });
      const took = [];
      const step = element.scrollHeight / 3000;
      let before = 0;
      await new Promise((done) => {
        // A wheel that is turned fast, 120 pixels a frame for 600 frames, and a jump through the whole list at every sixtieth.
        const frame = (now) => {
          if (before) took.push(now - before);
          before = now;
          if (took.length >= 600) return done();
          element.scrollTo({ top: took.length % 60 ? element.scrollTop + 120 : step * took.length * 5 });
          requestAnimationFrame(frame);
        };
        requestAnimationFrame(frame);
      });
      return { frames: took.sort((a, b) => a - b), long };
    });
    const share = (part) => frames[Math.min(frames.length - 1, Math.floor(frames.length * part))].toFixed(0);
    console.log(`${rows} rows: between frames median ${share(0.5)} ms, 95 of 100 ${share(0.95)} ms, longest ${share(1)} ms; ${long.length} long tasks${long.length ? `, longest ${Math.max(...long).toFixed(0)} ms` : ""}`);
    assert.ok((await page.locator("[data-event]").count()) < 200);
    const lost = await list.evaluate((element) => element.querySelector("div").clientHeight - element.querySelectorAll("[data-event]")[0].parentElement.getBoundingClientRect().height * Math.round(element.querySelector("div").clientHeight / 25 - 1));
    assert.ok(Math.abs(lost) < 100, `rows are not as high as they are thought to be: ${lost} pixels in all`);
  });
});

test("the demo's alert fires, is acknowledged by who is on call, and resolves", { skip: !process.env.ALERT && "ALERT=1 waits ten minutes for it" }, async () => {
  const seen = new Set();
  await until("all of its life is over", async () => {
    for (const one of (await stage.instance.ask("GET", "/api/v1/alerts?state=all")).json.alerts) if (one.rule === "High API error rate") seen.add(one.state === "acknowledged" ? `acknowledged by ${one.acknowledged_by}` : one.state);
    return seen.has("resolved");
  }, ALERT_SECONDS);
  assert.deepEqual([...seen].filter((one) => one !== "pending"), ["active", "acknowledged by demo-on-call", "resolved"].filter((one) => seen.has(one)));
  assert.ok(seen.has("acknowledged by demo-on-call"), [...seen].join());
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/alerts?tab=history");
    await page.getByRole("link", { name: /of requests fail/ }).first().click();
    await page.getByText("since the deploy of 1.4.2").waitFor();
  });
});
