// Overview: the verdict, alerts to act on, and ways to what is behind its numbers.
import { test } from "node:test";
import { settled, visit } from "./browser.mjs";
import { onDesktop, stage } from "./stage.mjs";

test("the overview leads to logs of a service, of a time, and to patterns of errors", async () => {
  await onDesktop(async (page) => {
    await visit(page, stage.instance, "/");
    await page.getByText(/All is well|Something is wrong|It does not work/).first().waitFor();
    await page.getByRole("link", { name: /^gateway .* events?,/ }).click();
    await page.waitForURL(/query=service%3Agateway/);
    await page.goBack();
    await settled(page);
    const chart = await page.getByRole("img", { name: /events in/ }).boundingBox();
    await page.mouse.click(chart.x + chart.width * 0.9, chart.y + 20);
    await page.waitForURL(/\/logs\?start=2/);
    await page.goBack();
    await settled(page);
    await page.getByRole("region").or(page.locator("section")).filter({ hasText: "Errors of the last hour" }).getByRole("link").first().click();
    await page.waitForURL(/tab=patterns/);
    await page.getByRole("region", { name: "Patterns" }).waitFor();
  });
});
