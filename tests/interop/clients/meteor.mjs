// npm meteor-client-side, Meteor's own client bundle, in a page in headless Chromium: begins with
// SockJS. The page is at the server's own origin, or at the one named by a second argument;
// a third argument "no-websocket" takes WebSocket away from the browser.

import { createRequire } from "node:module";

import { launch, PATIENCE } from "./browser.mjs";
import { COLLECTIONS, drive } from "./driver.mjs";

const bundle = createRequire(import.meta.url).resolve("meteor-client-side");

const COMMANDS = [
  ...["connect", "disconnect", "reconnect", "subscribe", "unsubscribe", "call", "insert"],
  ...["documents", "beside", "session"],
];

// This one runs in the page.
function makeClient(collections) {
  const { DDP, Meteor, Mongo, Tracker } = window;
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
  // What goes out, before it does; what comes in, once Meteor has dealt with it.
  const stream = Meteor.connection._stream;
  const send = stream.send;
  stream.send = (text) => {
    report("sent", { message: JSON.parse(text) });
    send.call(stream, text);
  };
  stream.on("message", (text) => report("received", { message: JSON.parse(text) }));

  // The client's side of methods, which runs before the server's.
  const notes = stores.get("interop.note");
  const addNote = (text) => notes.insert({ text, stars: 0 });
  Meteor.methods({
    "interop.addNote": addNote,
    "interop.addNoteSlowly": addNote,
    "interop.addNotes": (texts) => texts.map(addNote),
  });

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
    call: (method, params, options = {}) =>
      settle(new Promise((resolve, reject) => {
        const stub = Meteor.apply(
          method,
          params,
          { returnStubValue: true, ...options },
          (error, result) => {
            report("updated"); // Meteor calls back when both the result and "updated" are there.
            if (error) reject(error);
            else resolve(result);
          },
        );
        if (stub !== undefined) report("simulated", { method, value: stub });
      })),
    insert: (collection, document) =>
      settle(new Promise((resolve, reject) => {
        stores.get(collection).insert(document, (error, id) => (error ? reject(error) : resolve(id)));
      })),
    disconnect: () => settle(Promise.resolve(Meteor.disconnect())),
    reconnect: () => settle(Promise.resolve(Meteor.reconnect())),
    // Another connection of this page: resolves with its session once it sees these documents.
    beside: (collection, ids, name, params) =>
      settle(new Promise((resolve, onStop) => {
        const connection = DDP.connect(__meteor_runtime_config__.DDP_DEFAULT_CONNECTION_URL);
        const store = new Mongo.Collection(collection, { connection });
        connection.subscribe(name, ...params, { onStop });
        Tracker.autorun((computation) => {
          if (store.find({ _id: { $in: ids } }).count() < ids.length) return;
          computation.stop();
          resolve(connection._lastSessionId);
          connection.disconnect();
        });
      })),
    session: () => settle(Promise.resolve(Meteor.connection._lastSessionId)),
    documents: (collection) => settle(Promise.resolve(stores.get(collection).find().fetch())),
  };
}

drive(async (url, report, origin = url, without = "") => {
  const { browser } = await launch();
  let context;
  let page;

  async function open() {
    context = await browser.newContext();
    context.setDefaultTimeout(PATIENCE);
    page = await context.newPage();
    page.on("pageerror", (error) => report("pageerror", { text: String(error) }));
    page.on("console", (message) => report("console", { text: message.text() }));
    page.on("request", (request) => report("request", { url: request.url().split("?")[0] }));
    page.on("websocket", (socket) => report("websocket", { url: socket.url() }));
    await page.exposeFunction("report", report);
  }

  const run = (command) => async (...args) => {
    const { value, error } = await page.evaluate(
      ([command, args]) => client[command](...args),
      [command, args],
    );
    if (error) throw error;
    return value;
  };
  const client = Object.fromEntries(COMMANDS.map((name) => [name, run(name)]));

  return {
    ...client,
    // Somewhere else than where it was told at first, if need be; after `leave`, anew.
    async connect(elsewhere) {
      await open();
      // Any small answer makes a page of that origin.
      await page.goto(`${elsewhere ?? origin}/sockjs/info`);
      await page.evaluate(
        ([url, without]) => {
          if (without === "no-websocket") delete window.WebSocket;
          window.__meteor_runtime_config__ = { DDP_DEFAULT_CONNECTION_URL: url };
        },
        [elsewhere ?? url, without],
      );
      await page.addScriptTag({ path: bundle });
      await page.evaluate(makeClient, COLLECTIONS);
      await client.connect();
    },
    leave: () => context.close(),
    close: () => browser.close(),
  };
});
