// Pages in Debian's Chromium, with everything that went wrong in them gathered.
import { createRequire } from "node:module";
import { existsSync } from "node:fs";

const require = createRequire(new URL("../../api/dashboard/package.json", import.meta.url));
const { chromium } = require("playwright-core");
export const AXE = require.resolve("axe-core/axe.min.js");

const CHROMIUM = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) => path && existsSync(path));

export const DESKTOP = { width: 1440, height: 900 };
export const PHONE = { width: 360, height: 740 };

export async function launch() {
  if (!CHROMIUM) throw new Error("no Chromium: install Debian's package chromium, or name one with CHROMIUM=…");
  return await chromium.launch({ executablePath: CHROMIUM, args: process.getuid?.() === 0 ? ["--no-sandbox"] : [] });
}

/** A page that is logged in. `page.wrong` has what went wrong: messages of the console, errors, requests. */
export async function open(browser, instance, viewport = DESKTOP, colorScheme = "light") {
  const context = await browser.newContext({ viewport, colorScheme, hasTouch: viewport === PHONE, permissions: ["clipboard-read", "clipboard-write"] });
  const login = await context.request.post(`${instance.url}/api/v1/session`, { data: { key: instance.key } });
  if (!login.ok()) throw new Error(`login was answered ${login.status()}`);
  const page = await context.newPage();
  page.wrong = [];
  // Whoever changes this machine's network meanwhile is not of the page.
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && !message.text().includes("ERR_NETWORK_CHANGED") && page.wrong.push(`console: ${message.text()} ${message.location().url}`));
  page.on("pageerror", (error) => page.wrong.push(`error: ${error.message}`));
  page.on("response", (response) => response.status() >= 400 && page.wrong.push(`${response.status()} ${response.url()}`));
  page.on("request", (request) => request.url().startsWith(instance.url) || request.url().startsWith("data:") || page.wrong.push(`foreign: ${request.url()}`));
  page.on("dialog", (dialog) => (page.wrong.push(`dialog: ${dialog.message()}`), void dialog.dismiss()));
  page.setDefaultTimeout(20_000);
  return page;
}

/** Go there and wait until nothing is loading any more. */
export async function visit(page, instance, path) {
  await page.goto(instance.url + path);
  await settled(page);
}

export async function settled(page) {
  await page.getByRole("navigation", { name: "Pages" }).first().waitFor({ state: "attached" });
  await page.waitForFunction(() => document.querySelectorAll('[role="status"][aria-label="Loading"]').length === 0 && document.querySelectorAll("header .\\[\\&_svg\\]\\:animate-spin").length === 0);
}
