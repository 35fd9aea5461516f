// npm meteor-client-side, Meteor's own client bundle, in a page in headless Chromium: begins with
// SockJS. The page is at the server's own origin, or at the one named by a second argument;
// a third argument "no-websocket" takes WebSocket away from the browser.

import { createRequire } from "node:module";

import { launch } from "./browser.mjs";
import { COLLECTIONS, drive } from "./driver.mjs";

const bundle = createRequire(import.meta.url).resolve("meteor-client-side");

// This one runs in the page.
function makeClient(collections) {
  const { Meteor, Mongo, Tracker } = window;
  const stores = new Map(collections.map((name) => [name, new Mongo.Collection(name)]));
  const subscriptions = new Map();
  const settle = (promise) =>
    promise.then(
      (value) => ({ value }),
      ({ error, reason, details } = {}) => ({ error: { error, reason, details } }),
    );

  for (const [collection, store] of stores) {
    store.find().observe({
      added: (document) => report("added", { collection, document }),
      changed: (document) => report("changed", { collection, document }),
      removed: (document) => report("removed", { collection, document }),
    });
  }
  let connected = false;
  Tracker.autorun(() => {
    if (Meteor.status().connected === connected) return;
    connected = !connected;
    report(connected ? "connected" : "disconnected");
  });

  window.client = {
    connect: () =>
      settle(new Promise((resolve) => {
        Tracker.autorun(() => Meteor.status().connected && resolve());
      })),
    subscribe: (key, name, params) =>
      settle(new Promise((onReady, onStop) => {
        subscriptions.set(key, Meteor.subscribe(name, ...params, { onReady, onStop }));
      })),
    unsubscribe: (key) => settle(Promise.resolve(subscriptions.get(key).stop())),
    call: (method, params) =>
      settle(new Promise((resolve, reject) => {
        Meteor.apply(method, params, (error, result) => {
          report("updated"); // Meteor calls back when both the result and "updated" are there.
          if (error) reject(error);
          else resolve(result);
        });
      })),
    documents: (collection) => settle(Promise.resolve(stores.get(collection).find().fetch())),
  };
}

drive(async (url, report, origin = url, without = "") => {
  const { browser, context } = await launch();
  const page = await context.newPage();
  page.on("pageerror", (error) => report("pageerror", { text: String(error) }));
  page.on("console", (message) => report("console", { text: message.text() }));
  page.on("request", (request) => report("request", { url: request.url().split("?")[0] }));
  page.on("websocket", (socket) => report("websocket", { url: socket.url() }));
  await page.exposeFunction("report", report);

  const run = (command) => async (...args) => {
    const { value, error } = await page.evaluate(
      ([command, args]) => client[command](...args),
      [command, args],
    );
    if (error) throw error;
    return value;
  };
  const client = Object.fromEntries(
    ["connect", "subscribe", "unsubscribe", "call", "documents"].map((name) => [name, run(name)]),
  );

  return {
    ...client,
    async connect() {
      await page.goto(`${origin}/sockjs/info`); // any small answer makes a page of that origin
      await page.evaluate(
        ([url, without]) => {
          if (without === "no-websocket") delete window.WebSocket;
          window.__meteor_runtime_config__ = { DDP_DEFAULT_CONNECTION_URL: url };
        },
        [url, without],
      );
      await page.addScriptTag({ path: bundle });
      await page.evaluate(makeClient, COLLECTIONS);
      await client.connect();
    },
    close: () => browser.close(),
  };
});
