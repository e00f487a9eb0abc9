// What stands around every page: logging in and out, navigation, keys, time range, refresh, colours, the app.
import assert from "node:assert/strict";
import { test } from "node:test";
import { DESKTOP, open, PHONE, settled, visit } from "./browser.mjs";
import { on, onDesktop, stage } from "./stage.mjs";

test("a person logs in with a key, a wrong one is told in words, and logs out", async () => {
  const page = await (await stage.browser.newContext({ viewport: DESKTOP })).newPage();
  await page.goto(`${stage.instance.url}/logs?query=chat`);
  await page.getByLabel("API key").fill("mon_0_0");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("alert").getByText("unknown, expired or revoked").waitFor();
  await page.getByLabel("API key").fill(stage.instance.key);
  await page.getByRole("button", { name: "Log in" }).click();
  await settled(page);
  assert.equal(new URL(page.url()).searchParams.get("query"), "chat");
  await page.getByRole("button", { name: "You and this browser" }).click();
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByLabel("API key").waitFor();
  await page.context().close();
});

test("the link that is printed at the start logs in once", async () => {
  const link = /http:\/\/\S+\/login\?token=\S+/.exec(stage.instance.said)?.[0];
  assert.ok(link, stage.instance.said);
  const page = await (await stage.browser.newContext({ viewport: DESKTOP })).newPage();
  await page.goto(link);
  await settled(page);
  const again = await (await stage.browser.newContext({ viewport: DESKTOP })).newPage();
  await again.goto(link);
  await again.getByText("no longer good").waitFor();
  await page.context().close();
  await again.context().close();
});

test("pages are reached by links and by keys, and the range goes along", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/logs?start=-3h");
    for (const [name, path] of [["Metrics", "/explore"], ["Runs", "/runs"], ["Alerts", "/alerts"], ["Pipeline", "/pipeline"], ["Admin", "/admin"], ["Overview", "/"], ["Logs", "/logs"]]) {
      await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name }).first().click();
      await page.waitForURL((url) => url.pathname === path && url.searchParams.get("start") === "-3h");
    }
    for (const [key, path] of [["m", "/explore"], ["r", "/runs"], ["a", "/alerts"], ["p", "/pipeline"], ["d", "/admin"], ["o", "/"], ["l", "/logs"]]) {
      await page.keyboard.press("g");
      await page.keyboard.press(key);
      await page.waitForURL((url) => url.pathname === path);
    }
  });
});

test("the first Tab offers to skip the navigation, and the focus can be seen", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/alerts");
    await page.keyboard.press("Tab");
    const skip = page.getByRole("link", { name: "To the page" });
    assert.ok(await skip.evaluate((element) => element === document.activeElement && element.getBoundingClientRect().width > 20));
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle + getComputedStyle(document.activeElement).outlineWidth);
    assert.match(outline, /solid[1-9]/);
  });
});

test("nothing moves for who wants no motion", async () => {
  await onDesktop(async (page) => {
    await page.emulateMedia({ reducedMotion: "reduce" });
    await visit(page, stage.instance, "/logs");
    const longest = await page.evaluate(() => Math.max(...[...document.querySelectorAll("*")].map((element) => parseFloat(getComputedStyle(element).transitionDuration) || 0)));
    assert.ok(longest < 0.001, `${longest} s`);
  });
});

test("the time range is chosen, written, moved and widened, and its zone stands in the address", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/logs");
    const picker = page.getByRole("button", { name: /Last|–/ }).first();
    await picker.click();
    await page.getByRole("button", { name: "Last 15 minutes" }).click();
    await page.waitForURL(/start=-15m/);
    await picker.click();
    await page.getByLabel("The last").fill("40m");
    await page.getByRole("button", { name: "Show", exact: true }).click();
    await page.waitForURL(/start=-40m/);
    await picker.click();
    await page.getByRole("button", { name: "UTC", exact: true }).click();
    await page.waitForURL(/zone=utc/);
    await page.getByLabel("From").fill("2026-01-01T10:00:00");
    await page.getByLabel("Until").fill("2026-01-01T09:00:00");
    await page.getByRole("button", { name: "Show this range" }).click();
    await page.getByText("The end must be later").waitFor();
    await page.getByLabel("Until").fill("2026-01-01T11:00:00");
    await page.getByRole("button", { name: "Show this range" }).click();
    // The label is drawn after the address has changed: a person, too, sees it before the next key.
    const shown = async (start) => {
      await page.getByRole("button", { name: new RegExp(`^1 Jan( \\d{4})? ${start}`) }).waitFor();
      await page.waitForURL(new RegExp(`start=2026-01-01T${start.replace(":", "%3A")}`));
    };
    await shown("10:00");
    for (const [key, start] of [["[", "09:00"], ["]", "10:00"], ["z", "09:30"]]) {
      await page.keyboard.press(key);
      await shown(start);
    }
    const moved = page.getByTitle("Time range", { exact: true });
    for (const [button, start] of [["Earlier", "07:30"], ["Later", "09:30"], ["Zoom out", "08:30"]]) {
      if (!(await page.getByRole("button", { name: button }).isVisible())) await moved.click();
      await page.getByRole("button", { name: button }).click();
      await shown(start);
    }
  });
});

test("pages renew themselves as often as was chosen, and at once by a key", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/pipeline");
    assert.ok(await page.getByRole("button", { name: "30 s" }).isVisible(), "every 30 s without being told");
    await page.getByRole("button", { name: "30 s" }).click();
    await page.getByRole("button", { name: "Every 5 seconds" }).click();
    await page.waitForResponse((answer) => answer.url().includes("/api/v1/status"), { timeout: 9000 });
    await page.getByRole("button", { name: "5 s", exact: true }).click();
    await page.getByRole("button", { name: "No refresh by itself" }).click();
    const [, answer] = await Promise.all([page.keyboard.press("R"), page.waitForResponse((one) => one.url().includes("/api/v1/status"))]);
    assert.equal(answer.status(), 200);
  });
});

test("colours are chosen and remembered, help opens from the menu, and where the browser offers it the app installs", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/");
    const menu = page.getByRole("button", { name: "You and this browser" });
    await menu.click();
    await page.getByRole("button", { name: "Dark" }).click();
    await page.reload();
    await settled(page);
    assert.ok(await page.evaluate(() => document.documentElement.classList.contains("dark")));
    await menu.click();
    await page.getByRole("button", { name: "Keys and help" }).click();
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    await page.keyboard.press("Escape");
    await page.evaluate(() => window.dispatchEvent(Object.assign(new Event("beforeinstallprompt", { cancelable: true }), { prompt: async () => (window.asked_ = true) })));
    await menu.click();
    await page.getByRole("button", { name: "Install as an app" }).click();
    assert.ok(await page.evaluate(() => window.asked_));
  });
});

test("on a phone every menu opens within the screen", async () => {
  await on(PHONE, async (page) => {
    await visit(page, stage.instance, "/logs");
    for (const title of ["Time range", "Refresh by itself", "You and this browser", "Saved searches", "More"]) {
      const button = page.getByTitle(title, { exact: true });
      await button.click();
      const panel = page.locator(`[id="${await button.getAttribute("aria-controls")}"]`);
      const { x, width } = await panel.boundingBox();
      assert.ok(x >= 0 && x + width <= PHONE.width, `${title}: from ${x} to ${x + width}`);
      await page.keyboard.press("Escape");
      await panel.waitFor({ state: "detached" });
    }
  });
});

test("Chromium finds nothing that keeps the dashboard from being installed", async () => {
  await on(PHONE, async (page) => {
    await visit(page, stage.instance, "/alerts");
    const session = await page.context().newCDPSession(page);
    const { errors, data } = await session.send("Page.getAppManifest");
    assert.deepEqual(errors, []);
    assert.equal(JSON.parse(data).display, "standalone");
    const { installabilityErrors } = await session.send("Page.getInstallabilityErrors");
    assert.deepEqual(installabilityErrors.map((one) => one.errorId).filter((one) => one !== "in-incognito"), []); // as every test context is
  });
});

test("what cannot be refreshed is marked as stale, and is fresh again when the server is", async () => {
  const page = await open(stage.browser, stage.instance);
  await visit(page, stage.instance, "/pipeline");
  await page.context().setOffline(true);
  await page.getByRole("button", { name: /Refresh now/ }).click();
  await page.getByText("Stale: as of").waitFor();
  assert.ok(await page.getByRole("region", { name: "Partitions" }).isVisible());
  await page.context().setOffline(false);
  await page.getByRole("button", { name: /Refresh now/ }).click();
  await page.getByText("Stale: as of").waitFor({ state: "detached" });
  await page.context().close();
});

test("a session that has ended asks for a login and nothing else", async () => {
  const page = await open(stage.browser, stage.instance);
  await visit(page, stage.instance, "/pipeline");
  await page.context().clearCookies();
  await page.getByRole("button", { name: /Refresh now/ }).click();
  await page.getByLabel("API key").waitFor();
  await page.context().close();
});
