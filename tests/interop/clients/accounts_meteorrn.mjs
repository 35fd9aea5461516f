// npm @meteorrn/core with its accounts, over a raw WebSocket. A second argument is the token of a
// login that an earlier one has kept on its phone.

import { register } from "node:module";

import { drive } from "./driver.mjs";
import { tapped } from "./tapped.mjs";

const KEY = "reactnativemeteor_usertoken";

register("./metro.mjs", import.meta.url);

drive(async (url, report, kept) => {
  // What a phone's platform would offer.
  globalThis.WebSocket = tapped(report);
  const memory = new Map(kept ? [[KEY, kept]] : []);
  const AsyncStorage = {
    getItem: async (key) => memory.get(key) ?? null,
    setItem: async (key, value) => void memory.set(key, value),
    removeItem: async (key) => void memory.delete(key),
  };

  const { default: Meteor, Accounts } = await import("@meteorrn/core");
  const Notes = new Meteor.Mongo.Collection("desk.note");
  const bare = ({ _version, ...document }) => document;
  const done = (start) =>
    new Promise((resolve, reject) => {
      start((error, value) => (error ? reject(error) : resolve(value)));
    });

  return {
    connect() {
      Meteor.connect(`${url.replace("http", "ws")}/websocket`, {
        AsyncStorage,
        NetInfo: null,
        reconnectInterval: 100,
      });
      for (const event of ["connected", "disconnected"]) {
        Meteor.ddp.on(event, () => report(event));
      }
      Meteor.getData().onChange(() => report("news"));
      const connected = new Promise((resolve) => Meteor.ddp.once("connected", resolve));
      if (!kept) return connected;
      return new Promise((resolve) => Accounts.onLogin(resolve));
    },
    signUp: (options) => done((callback) => Accounts.createUser({ ...options }, callback)),
    logIn: (who, password) => done((callback) => Meteor.loginWithPassword(who, password, callback)),
    logInWithCode: (who, password, code) =>
      done((callback) => Meteor.loginWithPasswordAnd2faCode(who, password, code, callback)),
    // It connects anew then.
    async logOut() {
      await done((callback) => Meteor.logout(callback));
      await new Promise((resolve) => Meteor.waitDdpConnected(resolve));
    },
    changePassword: (old, password) =>
      done((callback) => Accounts.changePassword(old, password, callback)),
    forgotPassword: (email) => done((callback) => Accounts.forgotPassword({ email }, callback)),
    // It calls back before it resumes what it was given.
    async resetPassword(token, password) {
      const loggedIn = new Promise((resolve) => Meteor.getData().on("onLogin", resolve));
      await done((callback) => Accounts.resetPassword(token, password, callback));
      await loggedIn;
    },
    // It has no such function: what the method gives is resumed.
    async verifyEmail(token) {
      const result = await done((callback) => Meteor.call("verifyEmail", token, callback));
      await done((callback) => Meteor._login({ resume: result.token }, callback));
    },
    logOutOthers: () => done((callback) => Meteor.logoutOtherClients(callback)),
    user() {
      const user = Meteor.user();
      return user ? bare(user) : null;
    },
    kept: () => memory.get(KEY) ?? null,
    call: (method, params) => done((callback) => Meteor.call(method, ...params, callback)),
    subscribe: (key, name, params) =>
      new Promise((resolve) => Meteor.subscribe(name, ...params, { onReady: resolve })),
    documents: () => Notes.find({}).fetch().map(bare),
    close: () => Meteor.disconnect(),
  };
});
