// npm meteor-client-side with Meteor's accounts-base and accounts-password for it, in headless
// Chromium: a page of accounts_site, with its scripts. All commands are for the tab used last.

import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

import { launch } from "./browser.mjs";
import { drive } from "./driver.mjs";

const { resolve } = createRequire(import.meta.url);
const SCRIPTS = {
  "meteor.js": resolve("meteor-client-side"),
  "accounts-base.js": resolve("accounts-base-client-side"),
  "accounts-password.js": resolve("accounts-password-client-side"),
  "application.js": fileURLToPath(new URL("accounts_application.js", import.meta.url)),
};

const COMMANDS = [
  ...["signUp", "logIn", "logOut", "changePassword", "forgotPassword", "resetPassword"],
  ...["verifyEmail", "logOutOthers", "user", "kept", "call", "subscribe", "documents", "resumed"],
];

drive(async (url, report) => {
  const { browser, context } = await launch();
  const tabs = new Map();
  let tab;

  for (const [name, path] of Object.entries(SCRIPTS)) {
    await context.route(`**/scripts/${name}`, (route) => route.fulfill({ path }));
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
