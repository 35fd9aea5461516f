// Clients that write to their collections, to a site that lets them: what each step came to, and
// which documents the client holds then, as one line of JSON.
//
//   node clients/writing.mjs meteor|meteorrn http://127.0.0.1:8000

import { createRequire, register } from "node:module";
import WebSocket from "ws";

import { launch } from "./browser.mjs";

// Runs in the page, too. Commands are ["tasks", "insert", …arguments]; "ID" is the first one's id.
async function write(Meteor, Mongo, steps, updated = () => {}) {
  const stores = new Map(["tasks", "cards"].map((name) => [name, new Mongo.Collection(name)]));
  const asked = (ask) =>
    new Promise((resolve) => {
      ask((error, value) =>
        resolve(error ? { error: error.error, reason: error.reason, details: error.details } : { value }));
    });
  await asked((callback) => Meteor.call("tasks.become", "ann", callback));
  for (const name of ["Tasks", "Cards"]) {
    await new Promise((onReady) => Meteor.subscribe(name, { onReady }));
  }
  const first = { id: undefined };
  const came = [];
  for (const [name, method, ...args] of steps) {
    const known = args.map((each) => (each === "ID" ? first.id : each));
    let stub;
    const result = await asked((callback) => {
      stub = stores.get(name)[method](...known, callback);
    });
    first.id ??= result.value;
    await updated(came.length + 2); // the log-in is a method, too
    const documents = stores.get(name).find({}).fetch().map(({ _version, ...rest }) => rest);
    came.push({ ...result, stub, documents });
  }
  return came;
}

async function inMeteor(url, steps) {
  const { browser } = await launch();
  try {
    const page = await browser.newPage();
    await page.goto(`${url}/sockjs/info`);
    await page.evaluate((url) => {
      window.__meteor_runtime_config__ = { DDP_DEFAULT_CONNECTION_URL: url };
    }, url);
    await page.addScriptTag({ path: createRequire(import.meta.url).resolve("meteor-client-side") });
    return await page.evaluate(`(${write})(Meteor, Mongo, ${JSON.stringify(steps)})`);
  } finally {
    await browser.close();
  }
}

async function inMeteorRN(url, steps) {
  globalThis.WebSocket = WebSocket;
  register("./metro.mjs", import.meta.url);
  const { default: Meteor } = await import("@meteorrn/core");
  const memory = new Map();
  const AsyncStorage = {
    getItem: async (key) => memory.get(key) ?? null,
    setItem: async (key, value) => void memory.set(key, value),
    removeItem: async (key) => void memory.delete(key),
  };
  Meteor.connect(`${url.replace("http", "ws")}/websocket`, { AsyncStorage, NetInfo: null });
  await new Promise((resolve) => Meteor.ddp.once("connected", resolve));
  // Its callbacks come with the result, before the data may be there.
  let count = 0;
  let check = () => {};
  Meteor.ddp.on("updated", ({ methods }) => {
    count += methods.length;
    check();
  });
  const updated = (wanted) =>
    new Promise((resolve) => {
      check = () => count >= wanted && resolve();
      check();
    });
  return write(Meteor, Meteor.Mongo, steps, updated);
}

const [client, url, steps] = process.argv.slice(2);
const run = { meteor: inMeteor, meteorrn: inMeteorRN }[client];
console.log(JSON.stringify(await run(url, JSON.parse(steps))));
process.exit();
