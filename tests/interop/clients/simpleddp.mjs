// npm simpleddp, over a raw WebSocket.

import SimpleDDP from "simpleddp";
import WebSocket from "ws";

import { COLLECTIONS, drive } from "./driver.mjs";

const withId = ({ id, ...fields }) => ({ _id: id, ...fields });

// A refused subscription rejects a promise of its own that nobody can get hold of.
process.on("unhandledRejection", () => {});

drive((url, report) => {
  const server = new SimpleDDP({
    endpoint: `${url.replace("http", "ws")}/websocket`,
    SocketConstructor: WebSocket,
    autoConnect: false,
    reconnectInterval: 100,
  });
  const subscriptions = new Map();

  for (const event of ["connected", "disconnected", "updated"]) {
    server.on(event, () => report(event));
  }
  for (const collection of COLLECTIONS) {
    server.collection(collection).onChange(({ added, changed, removed }) => {
      if (added) report("added", { collection, document: withId(added) });
      if (changed) report("changed", { collection, document: withId(changed.next) });
      if (removed) report("removed", { collection, document: withId(removed) });
    });
  }

  return {
    connect: () => server.connect(),
    async subscribe(key, name, params) {
      subscriptions.set(key, server.subscribe(name, ...params));
      await subscriptions.get(key).ready();
    },
    unsubscribe(key) {
      // One that was merely stopped could be started again, but never be stopped again.
      const gone = subscriptions.get(key).nosub();
      subscriptions.get(key).remove();
      return gone;
    },
    call: (method, params) => server.apply(method, params),
    documents: (collection) => server.collection(collection).fetch().map(withId),
    disconnect: () => server.disconnect(),
    reconnect: () => server.connect(),
    close: () => server.disconnect(),
  };
});
