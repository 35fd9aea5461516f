// npm @meteorrn/core, Meteor's client for React Native: minimongo over a raw WebSocket.

import { register } from "node:module";
import WebSocket from "ws";

import { COLLECTIONS, drive } from "./driver.mjs";

// What a phone's platform would offer.
globalThis.WebSocket = WebSocket;
const memory = new Map();
const AsyncStorage = {
  getItem: async (key) => memory.get(key) ?? null,
  setItem: async (key, value) => void memory.set(key, value),
  removeItem: async (key) => void memory.delete(key),
};

register("./metro.mjs", import.meta.url);
const { default: Meteor } = await import("@meteorrn/core");

const bare = ({ _version, ...document }) => document;

drive((url, report) => {
  const collections = new Map(COLLECTIONS.map((name) => [name, new Meteor.Mongo.Collection(name)]));
  const subscriptions = new Map();

  for (const [collection, documents] of collections) {
    documents.find({}).observe({
      added: (document) => report("added", { collection, document: bare(document) }),
      changed({ _id }) {
        report("changed", { collection, document: bare(documents.findOne(_id)) });
      },
      removed: (_, document) => report("removed", { collection, document: bare(document) }),
    });
  }

  return {
    connect() {
      Meteor.connect(`${url.replace("http", "ws")}/websocket`, {
        AsyncStorage,
        NetInfo: null,
        reconnectInterval: 100,
      });
      for (const event of ["connected", "disconnected", "updated"]) {
        Meteor.ddp.on(event, () => report(event));
      }
      return new Promise((resolve) => Meteor.ddp.once("connected", resolve));
    },
    subscribe(key, name, params) {
      return new Promise((resolve, reject) => {
        const handle = Meteor.subscribe(name, ...params, { onReady: resolve });
        subscriptions.set(key, handle);
        // It has no callback for a refused subscription, merely a warning.
        const { subIdRemember } = Meteor.getData().subscriptions[handle.subscriptionId];
        Meteor.ddp.on("nosub", ({ id, error }) => id === subIdRemember && error && reject(error));
      });
    },
    unsubscribe: (key) => subscriptions.get(key).stop(),
    call: (method, params) =>
      new Promise((resolve, reject) => {
        Meteor.call(method, ...params, (error, value) => (error ? reject(error) : resolve(value)));
      }),
    documents: (collection) => collections.get(collection).find({}).fetch().map(bare),
    disconnect: () => Meteor.disconnect(),
    reconnect: () => Meteor.reconnect(),
    insert: (collection, document) =>
      new Promise((resolve, reject) => {
        collections.get(collection).insert({ ...document }, (error, id) =>
          error ? reject(error) : resolve(id));
      }),
    close: () => Meteor.disconnect(),
  };
});
