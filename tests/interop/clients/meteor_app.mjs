// A page of a Meteor app in headless Chromium, as its readers see it: how often it has loaded, what
// it shows, what the browser complains of.

import { launch, PATIENCE } from "./browser.mjs";
import { drive } from "./driver.mjs";

drive(async (url, report) => {
  const { browser, context } = await launch();
  const page = await context.newPage();
  page.on("load", () => report("loaded"));
  page.on("pageerror", (error) => report("pageerror", { text: String(error) }));
  page.on("console", (message) => {
    // Browsers ask for an icon that this app does not have.
    if (message.location().url.endsWith("/favicon.ico")) return;
    if (message.type() === "error") report("console", { text: message.text() });
  });
  // By the debugger: what runs within the page would need its policy to allow `eval`.
  async function until(expression) {
    const deadline = Date.now() + PATIENCE;
    while (Date.now() < deadline) {
      try {
        if (await page.evaluate(expression)) return;
      } catch (error) {
        if (!/context was destroyed|navigation/.test(error.message)) throw error;
      }
      await page.waitForTimeout(20);
    }
    throw new Error(`It never became true: ${expression}`);
  }

  return {
    open: async (path) => void (await page.goto(url + path)),
    see: (selector, hasText) =>
      page.locator(selector).filter({ hasText }).first().waitFor(),
    evaluate: (expression) => page.evaluate(expression),
    until,
    picture: (path) => page.screenshot({ path }).then(() => undefined),
    close: () => browser.close(),
  };
});
