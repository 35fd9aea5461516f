// npm simpleddp with its login plugin, over a raw WebSocket. A second argument is the token of a
// login that an earlier one has kept.

import { createHash } from "node:crypto";
import SimpleDDP from "simpleddp";
import { simpleDDPLogin } from "simpleddp-plugin-login";

import { drive } from "./driver.mjs";
import { tapped } from "./tapped.mjs";

// What the plugin leaves to those who use it.
const digest = (password) => ({
  digest: createHash("sha256").update(password).digest("hex"),
  algorithm: "sha-256",
});

const EVENTS = [
  ...["connected", "disconnected", "added", "changed", "removed"],
  ...["login", "logout", "loginResume", "loginSessionLost", "loginResumeFailed"],
];

drive((url, report, kept) => {
  const server = new SimpleDDP(
    {
      endpoint: `${url.replace("http", "ws")}/websocket`,
      SocketConstructor: tapped(report),
      autoConnect: false,
      reconnectInterval: 100,
    },
    [simpleDDPLogin],
  );
  for (const event of EVENTS) server.on(event, () => report(event));

  const users = server.collection("users");
  const selector = (who) => (who.includes("@") ? { email: who } : { username: who });
  // It knows no login method but one: what another has given is resumed.
  const resumed = ({ token }) => server.login({ resume: token }).then(() => {});

  return {
    async connect() {
      await server.connect();
      if (kept) await server.login({ resume: kept });
    },
    signUp: ({ password, ...options }) =>
      server.call("createUser", { ...options, password: digest(password) }).then(resumed),
    logIn: (who, password) =>
      server.login({ user: selector(who), password: digest(password) }).then(() => {}),
    logInPlainly: (who, password) =>
      server.login({ user: selector(who), password }).then(() => {}),
    logInWithCode: (who, password, code) =>
      server.login({ user: selector(who), password: digest(password), code }).then(() => {}),
    logOut: () => server.logout(),
    changePassword: (old, password) =>
      server.call("changePassword", digest(old), digest(password)),
    forgotPassword: (email) => server.call("forgotPassword", { email }),
    resetPassword: (token, password) =>
      server.call("resetPassword", token, digest(password)).then(resumed),
    verifyEmail: (token) => server.call("verifyEmail", token).then(resumed),
    async logOutOthers() {
      const { token } = await server.call("getNewToken");
      await server.call("removeOtherTokens");
      server.token = token;
    },
    // Its `userId` is that of the last login, also when that could not be resumed.
    user() {
      const user = users.filter(({ id }) => id === server.userId).fetch()[0];
      if (!user) return null;
      const { id, ...fields } = user;
      return { _id: id, ...fields };
    },
    kept: () => server.token ?? null,
    call: (method, params) => server.apply(method, params),
    async subscribe(key, name, params) {
      await server.subscribe(name, ...params).ready();
    },
    documents: (collection) =>
      server.collection(collection).fetch().map(({ id, ...fields }) => ({ _id: id, ...fields })),
    close: () => server.disconnect(),
  };
});
