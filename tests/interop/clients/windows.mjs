// Browser windows that a test looks at and clicks in. When something does not appear, a picture of
// each page is left in the folder named by the second argument.

import { join } from "node:path";

import { launch } from "./browser.mjs";
import { drive } from "./driver.mjs";

drive(async (url, report, folder) => {
  const { browser, context } = await launch();
  const windows = new Map();

  async function picture() {
    const paths = context.pages().map((_, i) => join(folder, `window-${i}.png`));
    await Promise.all(context.pages().map((page, i) => page.screenshot({ path: paths[i] })));
    return paths;
  }

  const commands = {
    async open(window, path) {
      const page = await context.newPage();
      page.on("pageerror", (error) => { throw error; });
      windows.set(window, page);
      await page.goto(url + path);
    },
    // A frame is a window, too.
    enter: (window, outer, selector) =>
      void windows.set(window, windows.get(outer).frameLocator(selector)),
    see: (window, selector, hasText) =>
      windows.get(window).locator(selector).filter({ hasText }).first().waitFor(),
    unsee: (window, selector, hasText) =>
      windows.get(window).locator(selector).filter({ hasText }).waitFor({ state: "detached" }),
    click: (window, selector) => windows.get(window).locator(selector).click(),
    fill: (window, selector, text) => windows.get(window).locator(selector).fill(text),
    press: (window, selector, key) => windows.get(window).locator(selector).press(key),
  };

  const pictured = (command) => async (...args) => {
    try {
      await command(...args);
    } catch (error) {
      throw new Error(`${error.message}\nPictures: ${await picture()}`);
    }
  };
  return {
    ...Object.fromEntries(Object.entries(commands).map(([name, run]) => [name, pictured(run)])),
    close: () => browser.close(),
  };
});
