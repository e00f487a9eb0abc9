// What the dashboard costs who looks at it, on an instance of its own into which the demo plays:
// the first useful paint, going from page to page, and how the page answers while the live tail gets 1,000 events/s.
// PYTHON=.venv/bin/python node tests/browser/measure.mjs
import { launch, open, settled, visit } from "./browser.mjs";
import { Instance } from "./instance.mjs";

const ROUNDS = 7;
const PAGES = ["Logs", "Metrics", "Runs", "Alerts", "Pipeline", "Overview"];
const TAIL_SECONDS = 20;
const BATCH = 100; // events, ten times a second

const sorted = (all) => [...all].sort((a, b) => a - b);
const at = (all, share) => sorted(all)[Math.min(all.length - 1, Math.floor(all.length * share))];
const words = (all) => `median ${at(all, 0.5).toFixed(0)} ms, 95 of 100 ${at(all, 0.95).toFixed(0)} ms, worst ${at(all, 1).toFixed(0)} ms`;

/** Behind the name of Alerts stands how many are active. */
const link = (page, name) => page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: new RegExp(`^${name}`) }).first();

async function firstPaint(browser, seen) {
  const took = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const page = await open(browser, seen); // a context of its own: nothing is cached
    const began = performance.now();
    await page.goto(seen.url + "/");
    await page.getByText(/All is well|Something is wrong/).first().waitFor();
    took.push(performance.now() - began);
    await page.context().close();
  }
  console.log(`first useful paint, the verdict of the overview, nothing cached: ${words(took)}`);
}

/** What travels for the first page, code and styles, compressed as it is. */
async function weight(browser, seen) {
  const page = await open(browser, seen);
  const files = [];
  page.on("requestfinished", (request) => /\/assets\/|\/$/.test(new URL(request.url()).pathname) && files.push(request.sizes()));
  await visit(page, seen, "/");
  await page.waitForLoadState("networkidle");
  const sizes = await Promise.all(files);
  console.log(`first load of the overview: ${sizes.length} files, ${(sizes.reduce((sum, one) => sum + one.responseBodySize, 0) / 1000).toFixed(0)} kB compressed`);
  await page.context().close();
}

async function pages(browser, seen) {
  const page = await open(browser, seen);
  await visit(page, seen, "/");
  for (const name of PAGES) {
    const took = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      await link(page, name === "Alerts" ? "Pipeline" : "Alerts").click();
      await settled(page);
      const began = performance.now();
      await link(page, name).click();
      await settled(page);
      took.push(performance.now() - began);
    }
    console.log(`from a click to ${name} with its data: ${words(took)}`);
  }
  await page.context().close();
}

async function tail(browser, seen) {
  const page = await open(browser, seen);
  await visit(page, seen, "/logs?live=1&query=service:flood");
  await page.getByText("live ·").waitFor();
  await page.evaluate(() => {
    window.frames_ = [];
    window.long_ = [];
    new PerformanceObserver((seen) => window.long_.push(...seen.getEntries().map((one) => one.duration))).observe({ type: "longtask" });
    let before = performance.now();
    const next = (now) => (window.frames_.push(now - before), (before = now), requestAnimationFrame(next));
    requestAnimationFrame(next);
  });
  let sent = 0;
  const clicks = [];
  const began = performance.now();
  while (performance.now() - began < TAIL_SECONDS * 1000) {
    await seen.ask("POST", "/api/v1/logs", Array.from({ length: BATCH }, () => ({ message: `event ${(sent += 1)} of the flood`, service: "flood" })));
    if (sent % 1000 === 0) {
      const pressed = performance.now();
      await page.keyboard.press("?");
      await page.getByRole("dialog", { name: "Keys" }).waitFor();
      clicks.push(performance.now() - pressed);
      await page.keyboard.press("Escape");
    }
    const ahead = (sent / 1000) * 1000 - (performance.now() - began);
    if (ahead > 0) await new Promise((done) => setTimeout(done, ahead));
  }
  const seconds = (performance.now() - began) / 1000;
  const [frames, long] = await page.evaluate(() => [window.frames_, window.long_]);
  console.log(`live tail at ${(sent / seconds).toFixed(0)} events/s for ${seconds.toFixed(0)} s: between frames ${words(frames)}; a key until its dialog is there ${words(clicks)}; tasks above 50 ms: ${long.length}${long.length ? `, the longest ${Math.max(...long).toFixed(0)} ms` : ""}`);
  if (page.wrong.length) console.log(page.wrong.join("\n"));
  await page.context().close();
}

const seen = await Instance.start();
try {
  console.log(`${await seen.play(["--history", "2h", "--rate", "5"])} events played`);
  const browser = await launch();
  try {
    await weight(browser, seen);
    await firstPaint(browser, seen);
    await pages(browser, seen);
    await tail(browser, seen);
  } finally {
    await browser.close();
  }
} finally {
  await seen.stop();
}
