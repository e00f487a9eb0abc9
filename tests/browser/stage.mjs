// What all browser tests share: one instance with events of its own and the demo playing into it, and one browser.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { after, before } from "node:test";
import { DESKTOP, launch, open } from "./browser.mjs";
import { Instance } from "./instance.mjs";

export const SHOTS = process.env.SHOTS;
export const stage = { instance: null, browser: null };

before(async () => {
  stage.instance = await Instance.start();
  await stage.instance.fill();
  await stage.instance.play(["--history", "20m", "--rate", "2", "--at", "9"]);
  stage.browser = await launch();
  if (SHOTS) await mkdir(SHOTS, { recursive: true });
});

after(async () => {
  await stage.browser?.close();
  await stage.instance?.stop();
});

/** A page that is logged in; at the end nothing may have gone wrong in it but what matches `expected`. */
export async function on(viewport, run, { scheme = "light", expected = null } = {}) {
  const page = await open(stage.browser, stage.instance, viewport, scheme);
  try {
    await run(page);
    assert.deepEqual(page.wrong.filter((one) => !expected?.test(one)), []);
  } finally {
    await page.context().close();
  }
}

export async function onDesktop(run, options) {
  await on(DESKTOP, run, options);
}

/** What the last Copy put on the clipboard. */
export async function copied(page) {
  return await page.evaluate(() => navigator.clipboard.readText());
}
