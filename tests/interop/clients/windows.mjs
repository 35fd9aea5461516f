// Browser windows that a test looks at and clicks in. When something does not appear, a picture of
// each page is left in the folder named by the second argument. With the name of a transport of
// npm sockjs-client as the third, WebSockets of pages are SockJS sockets that have no other way.

import { createRequire } from "node:module";
import { join } from "node:path";

import { launch, PATIENCE } from "./browser.mjs";
import { drive } from "./driver.mjs";

const sockjs = createRequire(import.meta.url).resolve("sockjs-client/dist/sockjs.js");

// This one runs in pages.
function replaceWebSocket(options) {
  if (location.pathname.startsWith("/sockjs")) return; // a frame of SockJS itself
  const { SockJS } = window;
  window.sockets = [];
  window.WebSocket = Object.assign(
    function () {
      const socket = new SockJS("/sockjs", null, options);
      window.sockets.push(socket);
      return socket; // it has the same properties
    },
    { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 },
  );
}

drive(async (url, report, folder, transport) => {
  const { browser, context } = await launch();
  const windows = new Map();
  const ways = new Map();
  if (transport) {
    await context.addInitScript({ path: sockjs });
    // SockJS would give a transport up that takes longer to open than a few round trips have taken.
    const options = { transports: transport, timeout: PATIENCE };
    await context.addInitScript(replaceWebSocket, options);
    // The iframe transports load the client once more, from wherever the server says.
    await context.route(/sockjs[^/]*\.js$/, (route) => route.fulfill({ path: sockjs }));
  }

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
      const seen = new Set();
      ways.set(window, seen);
      const note = (kind, address) => {
        const path = new URL(address).pathname;
        const asked = path.match(/^\/sockjs\/\d{3}\/\w{8}\/(\w+)$/)?.[1];
        if (asked) seen.add(`${kind} ${asked}`);
        else if (/^\/(websocket|sockjs\/iframe[^/]*\.html)$/.test(path)) {
          seen.add(`${kind} ${path.startsWith("/sockjs") ? "iframe" : path}`);
        }
      };
      page.on("request", (request) => note(request.method(), request.url()));
      page.on("websocket", (socket) => note("WebSocket", socket.url()));
      await page.goto(url + path);
    },
    // By which requests a window has talked to the server, and as SockJS names it.
    ways: (window) => [...ways.get(window)].sort(),
    transports: (window) => windows.get(window).evaluate(() => sockets.map((s) => s.transport)),
    resize: (window, width) => windows.get(window).setViewportSize({ width, height: 700 }),
    // How many pixels a window has that can only be seen by scrolling aside.
    overflow: (window) =>
      windows.get(window).evaluate(() => document.documentElement.scrollWidth - innerWidth),
    // A frame is a window, too.
    enter: (window, outer, selector) =>
      void windows.set(window, windows.get(outer).frameLocator(selector)),
    see: (window, selector, hasText) =>
      windows.get(window).locator(selector).filter({ hasText }).first().waitFor(),
    // The same of what has no area of its own, such as a line of a chart.
    has: (window, selector) =>
      windows.get(window).locator(selector).first().waitFor({ state: "attached" }),
    unsee: (window, selector, hasText) =>
      windows.get(window).locator(selector).filter({ hasText }).waitFor({ state: "detached" }),
    click: (window, selector) => windows.get(window).locator(selector).click(),
    fill: (window, selector, text) => windows.get(window).locator(selector).fill(text),
    press: (window, selector, key) => windows.get(window).locator(selector).press(key),
  };

  const pictured = (command) => async (...args) => {
    try {
      return await command(...args);
    } catch (error) {
      throw new Error(`${error.message}\nPictures: ${await picture()}`);
    }
  };
  return {
    ...Object.fromEntries(Object.entries(commands).map(([name, run]) => [name, pictured(run)])),
    close: () => browser.close(),
  };
});
