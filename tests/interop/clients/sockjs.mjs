// npm sockjs-client in a page in headless Chromium, over any transport that browsers have.

import { createRequire } from "node:module";

import { launch, PATIENCE } from "./browser.mjs";
import { drive } from "./driver.mjs";

const bundle = createRequire(import.meta.url).resolve("sockjs-client/dist/sockjs.js");

drive(async (url, report, origin = url) => {
  const { browser, context } = await launch();
  const page = await context.newPage();
  await page.exposeFunction("report", report);
  // The iframe transports load the client once more, from wherever the server says.
  await page.route(/sockjs[^/]*\.js$/, (route) => route.fulfill({ path: bundle }));

  return {
    async connect() {
      await page.goto(`${origin}/sockjs/info`); // any small answer makes a page of that origin
      await page.addScriptTag({ path: bundle });
    },
    open: (transport) =>
      page.evaluate(
        ([url, options]) => {
          window.socket = new SockJS(`${url}/sockjs`, null, options);
          socket.onopen = () => report("open", { transport: socket.transport });
          socket.onmessage = ({ data }) => report("message", JSON.parse(data));
          socket.onclose = ({ code, reason }) => report("close", { code, reason });
        },
        // It would give a transport up that takes longer to open than a few round trips have taken.
        [url, { transports: transport, timeout: PATIENCE }],
      ),
    send: (message) => page.evaluate((text) => socket.send(text), JSON.stringify(message)),
    // What a page gets that loads `path` as a script, and hides who it is.
    script: (path) =>
      page.evaluate(
        (src) =>
          new Promise((resolve) => {
            let got = null;
            window.cb = (frame) => (got = frame);
            const script = Object.assign(document.createElement("script"), {
              referrerPolicy: "no-referrer",
              onload: () => resolve(got),
              onerror: () => resolve(null),
              src,
            });
            document.head.append(script);
          }),
        url + path,
      ),
    // The address of what a page has in a frame that it wants to show `path`.
    async frame(path) {
      await page.evaluate(
        (src) =>
          new Promise((resolve) => {
            const onload = () => resolve();
            document.body.append(Object.assign(document.createElement("iframe"), { onload, src }));
          }),
        url + path,
      );
      return page.frames().at(-1).url();
    },
    shut: () => page.evaluate(() => socket.close()),
    close: () => browser.close(),
  };
});
