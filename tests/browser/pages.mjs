// All pages: whole, without an error or a failed request, and to axe's liking.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { AXE, DESKTOP, PHONE, visit } from "./browser.mjs";
import { on, SHOTS, stage } from "./stage.mjs";

const PAGES = ["/", "/logs", "/logs?tab=patterns", "/explore?board=system", "/explore?board=api", "/explore?board=llm", "/explore?board=own", "/explore?board=derived", "/explore?expr=sum(rate(shop_orders_total[5m]))", "/runs", "/runs?tab=evaluations", "/runs?tab=calls", "/runs?tab=caches", "/alerts", "/alerts?tab=history", "/alerts?tab=rules", "/alerts?tab=silences", "/alerts?tab=channels", "/pipeline", "/admin", "/admin?tab=audit"];
const WIDE = { width: 1920, height: 1080 };

for (const [name, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE, wide: WIDE })) {
  test(`every page is shown whole, without an error and without a failed request: ${name}`, async () => {
    await on(viewport, async (page) => {
      for (const path of PAGES) {
        await visit(page, stage.instance, path);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        assert.ok(wide <= 0, `${path} is ${wide} pixels too wide`);
        assert.equal(await page.getByRole("alert").count(), 0, path);
        assert.match(await page.title(), /· monitoring$/, path);
        if (SHOTS) await page.screenshot({ path: `${SHOTS}/${name}-${path.replace(/[^a-z]+/g, "-")}.png` });
      }
    });
  });
}

for (const viewport of [DESKTOP, PHONE]) {
  for (const scheme of ["light", "dark"]) {
    test(`axe finds nothing serious on any page: ${scheme}, ${viewport.width} pixels wide`, async () => {
      const axe = await readFile(AXE, "utf8");
      const found = [];
      const look = async (page, where) => {
        await page.evaluate(axe); // evaluate() is not bound by the page's policy, which a script element would be
        const result = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] }));
        for (const violation of result.violations) {
          if (["serious", "critical"].includes(violation.impact)) found.push(`${where}: ${violation.id} ${violation.nodes.map((node) => node.target.join(" ")).slice(0, 3).join(" | ")}`);
        }
      };
      await on(
        viewport,
        async (page) => {
          for (const path of PAGES) {
            await visit(page, stage.instance, path);
            await look(page, path);
          }
          await visit(page, stage.instance, "/logs?query=level:error");
          await page.locator("[data-event]").first().click();
          await page.getByRole("button", { name: "Context" }).waitFor();
          await look(page, "an open event");
          for (const [path, button] of [["/alerts?tab=rules", "New rule"], ["/alerts?tab=silences", "New silence"], ["/alerts?tab=silences", "New window"], ["/alerts?tab=channels", "New channel"], ["/explore?board=derived", "New metric"], ["/admin", "New key"]]) {
            await visit(page, stage.instance, path);
            await page.getByRole("button", { name: button }).click();
            await page.getByRole("dialog").waitFor();
            for (const fold of await page.getByRole("dialog").locator("summary").all()) await fold.click();
            await look(page, button);
          }
        },
        { scheme },
      );
      assert.deepEqual(found, []);
    });
  }
}
