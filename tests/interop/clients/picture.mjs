// The screens of scripts/picture: `node picture.mjs URL DIRECTORY`, the page of `ddpcore demo`.
//
// What it prints is JSON: the file of each screen, and for how many milliseconds it is to be seen.

import { launch } from "./browser.mjs";

const [url, directory] = process.argv.slice(2);
const { browser } = await launch();
const page = await browser.newPage({
  viewport: { width: 960, height: 640 },
  deviceScaleFactor: 1.5,
  reducedMotion: "reduce",
  colorScheme: "light",
});
const screens = [];

async function screen(ms) {
  const file = `${directory}/${String(screens.length).padStart(3, "0")}.png`;
  await page.screenshot({ path: file });
  screens.push({ file, ms });
}

const windows = {};
for (const side of ["left", "right"]) windows[side] = page.frameLocator(`[data-test=window-${side}]`);
const part = (side, name, text) => {
  const found = windows[side].locator(`[data-test=${name}]`);
  return text === undefined ? found : found.and(windows[side].locator(`:text-is("${text}")`));
};

// A pointer, since a screenshot has none.
async function point(target) {
  const { x, y, width, height } = await target.boundingBox();
  await page.evaluate(([left, top]) => {
    let pointer = document.getElementById("pointer");
    if (!pointer) {
      pointer = document.createElement("div");
      pointer.id = "pointer";
      pointer.innerHTML =
        '<svg width="20" height="28" viewBox="0 0 20 28"><path d="M2 2v20l5-5 4 9 3.5-1.5-4-9H18z" fill="#111" stroke="#fff" stroke-width="1.6"/></svg>';
      pointer.style = "position: fixed; z-index: 9; pointer-events: none";
      document.body.append(pointer);
    }
    pointer.style.left = `${left}px`;
    pointer.style.top = `${top}px`;
  }, [x + Math.min(width / 2, 60), y + height / 2]);
}

async function type(field, text, step) {
  for (let end = step; end < text.length + step; end += step) {
    await field.fill(text.slice(0, end));
    await screen(110);
  }
}

async function rename(side, old, title) {
  const other = side === "left" ? "right" : "left";
  await point(part(side, "book-title", old));
  await screen(900);
  await part(side, "book-title", old).click();
  await screen(500);
  await type(part(side, "edit"), title, 3);
  await part(side, "edit").press("Enter");
  await part(other, "book-title", title).waitFor();
  await told(side);
}

async function add(side, title) {
  const other = side === "left" ? "right" : "left";
  const field = part(side, "add-book-title");
  await point(field);
  await screen(600);
  await type(field, title, 4);
  await point(part(side, "add-book"));
  await screen(600);
  await part(side, "add-book").click();
  await part(other, "book-title", title).waitFor();
  await told(side);
}

// Until the page has told how long it took; that is what there is to see.
async function told(side) {
  await page.locator("#latency-what").getByText(`edited ${side}`).waitFor();
  await screen(2400);
}

async function ready() {
  for (const side of ["left", "right"]) {
    await part(side, "book-title").first().waitFor();
    await windows[side].locator("[data-status=connected]").waitFor();
  }
}

await page.goto(url);
await ready();
await page.reload(); // the first round trips of a new process are none to show
await ready();
await page.addStyleTag({ content: "* { caret-color: transparent }" });
await screen(1200);
await rename("left", "Pride and Prejudice", "Sense and Sensibility");
await add("right", "Northanger Abbey");
console.log(JSON.stringify(screens));
await browser.close();
