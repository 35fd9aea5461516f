// The page of docs/how-to/optimistic-inserts.md, in headless Chromium: what is in the list at each
// step, and what became of the documents, as one line of JSON.
//
//   node clients/reviews.mjs http://127.0.0.1:8000 'the log-in, typed into the console' 'the insert'

import { launch } from "./browser.mjs";

const [url, logIn, insert] = process.argv.slice(2);
const { browser, context } = await launch();
const page = await context.newPage();
const problems = [];
page.on("pageerror", (error) => problems.push(String(error)));

async function open() {
  await page.goto(`${url}/reviews/`);
  await page.waitForFunction("Meteor.connection._subscriptions && Meteor.status().connected");
  await page.evaluate(() => {
    window.told = [];
    Reviews.find().observeChanges({
      added: (id) => told.push(["added", id]),
      changed: (id) => told.push(["changed", id]),
      removed: (id) => told.push(["removed", id]),
    });
  });
}

// What the list shows in the very moment of an action.
const shown = (action, ...args) =>
  page.evaluate(
    ([action, args]) => {
      eval(action)(...args);
      Tracker.flush();
      return [...document.querySelectorAll("#reviews li")].map((each) => each.textContent);
    },
    [`(${action})`, args],
  );

const write = (text) =>
  shown((text) => {
    const form = document.querySelector("#write");
    form.text.value = text;
    form.requestSubmit();
  }, text);
const click = () => shown(() => document.querySelector("#reviews li").click());
const list = () => page.locator("#reviews li").allTextContents();
const trouble = (text) =>
  page.waitForFunction((text) => document.querySelector("#trouble").textContent === text, text);
const settled = (count) =>
  page.waitForFunction(
    (count) => {
      const items = [...document.querySelectorAll("#reviews li")];
      return items.length === count && items.every((each) => each.textContent.endsWith("✓"));
    },
    count,
  );

const story = {};
await open();
story.written = await write("Witty.");
await settled(1);
story.told = await page.evaluate("told");
story.id = await page.evaluate("Reviews.findOne()._id");

story.empty = await write("");
await trouble("A few words, please.");
story.refused = await list();

story.clicked = await click();
await trouble("Access denied");
await settled(1);

await shown(`() => { ${logIn} }`);
await page.waitForFunction("Meteor.userId()");
await trouble("");
story.again = await click();
story.typed = await shown(`() => { ${insert} }`);
await settled(1);
story.end = await list();
story.byHand = await page.evaluate("Reviews.findOne()._id");
story.problems = problems;
console.log(JSON.stringify(story));
await browser.close();
