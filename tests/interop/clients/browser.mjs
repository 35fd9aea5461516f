// Headless Chromium, from the system.

import { chromium } from "playwright-core";

// Milliseconds that anything in a page may take: less than the Python tests wait for an answer, so
// that it says what is missing.
export const PATIENCE = 50_000;

export async function launch() {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
  const context = await browser.newContext();
  context.setDefaultTimeout(PATIENCE);
  return { browser, context };
}
