// npm meteor-client-side with Meteor's accounts-base and accounts-password for it, in headless
// Chromium. The page is at the server's own origin. All commands are for the tab used last.

import { createRequire } from "node:module";

import { launch } from "./browser.mjs";
import { drive } from "./driver.mjs";

const { resolve } = createRequire(import.meta.url);
// As in a Meteor application: in this order, before the application itself.
const SCRIPTS = [
  "meteor-client-side",
  "accounts-base-client-side",
  "accounts-password-client-side",
];

const COMMANDS = [
  ...["signUp", "logIn", "logOut", "changePassword", "forgotPassword", "resetPassword"],
  ...["verifyEmail", "logOutOthers", "user", "kept", "call", "subscribe", "documents", "resumed"],
];

// This one runs in the page: the application.
function application() {
  const { Accounts, Meteor, Mongo, Tracker } = window;
  const notes = new Mongo.Collection("desk.note");
  const done = (start) =>
    new Promise((resolve) => {
      start((error, value) => {
        if (!error) resolve({ value });
        else if (error.error === undefined) resolve({ error: { error: String(error) } });
        else {
          const { error: code, reason, details } = error;
          resolve({ error: { error: code, reason, details } });
        }
      });
    });
  const now = (value) => Promise.resolve({ value });

  let finish;
  const take = (kind) => (token, enableLogin) => {
    finish = enableLogin;
    report(kind, { token });
  };
  Accounts.onResetPasswordLink(take("resetLink"));
  Accounts.onEmailVerificationLink(take("verifyLink"));
  Accounts.onEnrollmentLink(take("enrollLink"));

  let connected = false;
  Tracker.autorun(() => {
    if (Meteor.status().connected === connected) return;
    connected = !connected;
    report(connected ? "connected" : "disconnected");
  });
  Tracker.autorun(() => report("news", { id: Meteor.userId(), user: Meteor.user() }));
  notes.find().observe({ added: () => report("news"), removed: () => report("news") });

  // Interactions that a link begins end here: other logins may go on.
  const ending = (start) =>
    done((callback) => {
      start((error, value) => {
        if (finish && !error) finish();
        callback(error, value);
      });
    });

  window.client = {
    signUp: (options) => done((callback) => Accounts.createUser(options, callback)),
    logIn: (who, password) => done((callback) => Meteor.loginWithPassword(who, password, callback)),
    logOut: () => done((callback) => Meteor.logout(callback)),
    changePassword: (old, password) =>
      done((callback) => Accounts.changePassword(old, password, callback)),
    forgotPassword: (email) => done((callback) => Accounts.forgotPassword({ email }, callback)),
    resetPassword: (token, password) =>
      ending((callback) => Accounts.resetPassword(token, password, callback)),
    verifyEmail: (token) => ending((callback) => Accounts.verifyEmail(token, callback)),
    logOutOthers: () => done((callback) => Meteor.logoutOtherClients(callback)),
    user: () => now((Meteor.userId() && Meteor.user()) ?? null),
    kept: () => now(localStorage.getItem("Meteor.loginToken")),
    call: (method, params) => done((callback) => Meteor.apply(method, params, callback)),
    subscribe: (key, name, params) =>
      done((callback) => {
        Meteor.subscribe(name, ...params, { onReady: callback, onStop: callback });
      }),
    documents: () => now(notes.find().fetch()),
    // Until what was kept has been resumed, or refused: whether it was allowed.
    resumed: () =>
      done((callback) => Accounts.onPageLoadLogin(({ allowed }) => callback(null, allowed))),
    ready: () =>
      done((callback) => {
        Tracker.autorun(() => {
          if (Meteor.status().connected && Accounts.loginServicesConfigured()) callback();
        });
      }),
  };
}

const page = (url) => `<!doctype html>
<title>accounts</title>
<script>__meteor_runtime_config__ = { DDP_DEFAULT_CONNECTION_URL: ${JSON.stringify(url)} }</script>
${SCRIPTS.map((name) => `<script src="/scripts/${name}.js"></script>`).join("\n")}
<script>(${application})()</script>
`;

drive(async (url, report) => {
  const { browser, context } = await launch();
  const tabs = new Map();
  let tab;

  await context.route(
    ({ pathname }) => pathname === "/",
    (route) => {
      const { origin } = new URL(route.request().url());
      return route.fulfill({ contentType: "text/html", body: page(origin) });
    },
  );
  for (const name of SCRIPTS) {
    await context.route(`**/scripts/${name}.js`, (route) =>
      route.fulfill({ path: resolve(name) }));
  }
  await context.exposeBinding("report", ({ page }, event, fields) => {
    const [name] = [...tabs].find(([, each]) => each === page);
    report(event, { tab: name, ...fields });
  });

  const run = async (command, ...args) => {
    const { value, error } = await tab.evaluate(
      ([command, args]) => client[command](...args),
      [command, args],
    );
    if (error) throw error;
    return value;
  };

  // Open a tab, or go elsewhere in one.
  async function open(name, address = url) {
    if (!tabs.has(name)) {
      tabs.set(name, await context.newPage());
      tabs.get(name).on("pageerror", (error) => report("pageerror", { text: String(error) }));
      tabs.get(name).on("websocket", (socket) => {
        socket.on("framesent", ({ payload }) => {
          for (const text of JSON.parse(payload)) report("sent", { message: JSON.parse(text) });
        });
      });
    }
    tab = tabs.get(name);
    await tab.goto("about:blank"); // a link that differs in its fragment alone loads nothing
    await tab.goto(address);
    await run("ready");
  }

  return {
    ...Object.fromEntries(COMMANDS.map((name) => [name, (...args) => run(name, ...args)])),
    open,
    use: (name) => void (tab = tabs.get(name)),
    connect: () => open("first"),
    async reload() {
      await tab.reload();
      await run("ready");
    },
    close: () => browser.close(),
  };
});
