// Pictures of the dashboard. `make screenshots` renews those of README.md in docs/images/, of an instance of its own into which
// the demo plays; URL=… KEY=… takes them of one that runs. SHOTS=folder takes every page instead: dark, light, phone.
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { DESKTOP, launch, open, settled, visit } from "./browser.mjs";
import { Instance, until } from "./instance.mjs";

const IMAGES = fileURLToPath(new URL("../../docs/images/", import.meta.url));
const PIECE = ["--history", "3h", "--rate", "5", "--at", "8"];
const LARGEST = 150_000; // bytes: four pictures are no burden for who clones
const PICTURE = { width: 1280, height: 800 };
const HAND = { width: 390, height: 844 };
const PAGES = ["/", "/logs", "/logs?tab=patterns", "/explore?board=system", "/explore?board=api", "/explore?board=llm", "/explore?board=own", "/explore?board=derived", "/explore?expr=sum by (status) (rate(http_server_request_duration_seconds_count[5m]))", "/runs", "/runs?tab=evaluations", "/runs?tab=calls", "/runs?tab=caches", "/alerts", "/alerts?tab=history", "/alerts?tab=rules", "/alerts?tab=silences", "/alerts?tab=channels", "/pipeline", "/admin", "/admin?tab=audit"];

/** The instance to be seen: one that runs, or one of our own, filled. */
async function instance() {
  if (process.env.URL && process.env.KEY) {
    const running = new Instance();
    return Object.assign(running, { url: process.env.URL.replace(/\/$/, ""), key: process.env.KEY, stop: async () => {} });
  }
  const own = await Instance.start();
  try {
    console.log(`${await own.play(PIECE)} events played, waiting for the alert that the deploy in them makes`);
    await until("the demo's alerts are active", async () => (await own.ask("GET", "/api/v1/alerts?state=active")).json.alerts.length >= 2, 180);
  } catch (error) {
    await own.stop();
    throw error;
  }
  return own;
}

/** Charts are drawn in the frame after their data is there. */
async function drawn(page) {
  await settled(page);
  await page.waitForLoadState("networkidle");
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

async function everyPage(browser, seen, folder) {
  await mkdir(folder, { recursive: true });
  const alert = (await seen.ask("GET", "/api/v1/alerts?limit=1")).json.alerts[0];
  for (const [name, viewport, scheme] of [["dark", DESKTOP, "dark"], ["light", DESKTOP, "light"], ["phone", HAND, "dark"]]) {
    const page = await open(browser, seen, viewport, scheme);
    for (const path of alert ? [...PAGES, `/alerts/${alert.id}`] : PAGES) {
      await visit(page, seen, path);
      await drawn(page);
      await page.screenshot({ path: `${folder}/${name}${path.replace(alert?.id, "one").replace(/[^a-z]+/g, "-")}.png` });
    }
    if (page.wrong.length) console.log(page.wrong.join("\n"));
    await page.context().close();
  }
}

/** What README.md shows: each its name, where, how large, in which colours, and what is done before. */
const PICTURES = [
  ["overview", "/", PICTURE, "dark", null],
  ["logs", "/logs?query=service:inference level:>=error", PICTURE, "light", async (page) => {
    await page.locator("[data-event]").filter({ hasText: "/generate 500" }).first().click();
    await page.getByRole("button", { name: "Context", exact: true }).waitFor();
  }],
  ["runs", "/runs?start=-3h", PICTURE, "dark", null],
  ["phone", "/alerts", HAND, "dark", null],
];

async function pictures(browser, seen) {
  await mkdir(IMAGES, { recursive: true });
  for (const [name, path, viewport, scheme, act] of PICTURES) {
    const page = await open(browser, seen, viewport, scheme);
    await visit(page, seen, path);
    await act?.(page);
    await drawn(page);
    const file = `${IMAGES}${name}.png`;
    await writeFile(file, await page.screenshot());
    await page.context().close();
    const { size } = await stat(file);
    console.log(`docs/images/${name}.png ${Math.ceil(size / 1000)} kB`);
    if (size > LARGEST) throw new Error(`${file} has ${size} bytes, more than ${LARGEST}`);
    if (!(await readFile("README.md", "utf8")).includes(`docs/images/${name}.png`)) console.log(`README.md does not show ${name}.png`);
  }
}

const seen = await instance();
const browser = await launch();
try {
  await (process.env.SHOTS ? everyPage(browser, seen, process.env.SHOTS) : pictures(browser, seen));
} finally {
  await browser.close();
  await seen.stop();
}
