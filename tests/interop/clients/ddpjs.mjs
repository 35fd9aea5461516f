// npm ddp.js: over a raw WebSocket, or over the SockJS transport named by a second argument.
// It knows messages only, neither documents nor EJSON; so we keep the documents.

import DDP from "ddp.js";
import SockJS from "sockjs-client";
import WebSocket from "ws";

import { COLLECTIONS, drive } from "./driver.mjs";

drive((url, report, transport) => {
  // It would give a transport up that takes longer to open than a few round trips have taken.
  const options = { transports: [transport], timeout: 50_000 };
  const overSockJS = (endpoint) => new SockJS(endpoint, null, options);
  const ddp = new DDP.default({
    endpoint: transport ? `${url}/sockjs` : `${url.replace("http", "ws")}/websocket`,
    // `new` needs a function of the old kind, and takes the socket that it returns.
    SocketConstructor: transport ? function (endpoint) { return overSockJS(endpoint); } : WebSocket,
    autoConnect: false,
    reconnectInterval: 100,
  });
  const store = new Map(COLLECTIONS.map((name) => [name, new Map()]));
  const subscriptions = new Map();

  // Resolves with the first message among `events` that `matches`.
  const first = (events, matches) =>
    new Promise((resolve) => {
      const listeners = events.map((event) => [event, (message) => {
        if (!matches(message)) return;
        for (const [name, listener] of listeners) ddp.removeListener(name, listener);
        resolve(message);
      }]);
      for (const [name, listener] of listeners) ddp.on(name, listener);
    });

  const answer = async (events, matches) => {
    const message = await first(events, matches);
    if (message.error) throw message.error;
    return message.result;
  };

  for (const event of ["connected", "disconnected", "updated"]) {
    ddp.on(event, () => report(event));
  }
  ddp.on("added", ({ collection, id, fields }) => {
    const document = { _id: id, ...fields };
    store.get(collection).set(id, document);
    report("added", { collection, document });
  });
  ddp.on("changed", ({ collection, id, fields, cleared = [] }) => {
    const document = Object.assign(store.get(collection).get(id), fields);
    for (const field of cleared) delete document[field];
    report("changed", { collection, document });
  });
  ddp.on("removed", ({ collection, id }) => {
    const document = store.get(collection).get(id);
    store.get(collection).delete(id);
    report("removed", { collection, document });
  });

  return {
    connect() {
      ddp.connect();
      return first(["connected"], () => true);
    },
    subscribe(key, name, params) {
      const id = ddp.sub(name, params);
      subscriptions.set(key, id);
      return answer(["ready", "nosub"], (message) => (message.subs ?? [message.id]).includes(id));
    },
    unsubscribe(key) {
      const id = ddp.unsub(subscriptions.get(key));
      return answer(["nosub"], (message) => message.id === id);
    },
    call(method, params) {
      const id = ddp.method(method, params);
      return answer(["result"], (message) => message.id === id);
    },
    documents: (collection) => [...store.get(collection).values()],
    close: () => ddp.disconnect(),
  };
});
