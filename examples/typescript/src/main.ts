// The books, live: a title can be changed, a book added. What others change is seen at once.

import { connect, type Document } from "./live";

type Author = Document<"bookstore.author">;
type Book = Document<"bookstore.book">;

const server = new URLSearchParams(location.search).get("server") ?? "localhost:8000";
const live = connect(`ws://${server}/websocket`);

const list = find("#books", HTMLUListElement);
const status = find("#status", HTMLElement);
const form = find("#add", HTMLFormElement);
const select = find("#author", HTMLSelectElement);

let authors: Author[] = [];
let books: Book[] = [];

live.on("connected", () => say("connected"));
live.on("disconnected", () => say("connecting again"));
live.subscribe("AllBooks");
live.watch("bookstore.author", (all) => {
  authors = byText(all, (author) => author.name);
  const chosen = select.value;
  select.replaceChildren(
    ...authors.map(({ id, name }) => new Option(name, id, false, id === chosen)),
  );
  show();
});
live.watch("bookstore.book", (all) => {
  books = byText(all, (book) => book.title);
  show();
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const title = find("#title", HTMLInputElement);
  attempt(async () => {
    const id = await live.call("bookstore.addBook", title.value, select.value);
    title.value = "";
    say(`added as number ${id}`);
  });
});

list.addEventListener("change", ({ target }) => {
  if (!(target instanceof HTMLInputElement)) return;
  attempt(
    () => live.call("bookstore.renameBook", target.name, target.value),
    () => (target.value = target.defaultValue),
  );
});

function show() {
  const names = new Map(authors.map(({ id, name }) => [id, name]));
  const items = new Map(Array.from(list.children, (item) => [item.id, item]));
  const wanted = books.map((book) => {
    const item = items.get(`book-${book.id}`) ?? newItem(book.id);
    const [title, author] = [item.querySelector("input")!, item.querySelector("span")!];
    title.defaultValue = book.title;
    if (title !== document.activeElement) title.value = book.title; // else somebody is typing
    author.textContent = names.get(book.author_id) ?? "";
    return item;
  });
  for (const item of items.values()) if (!wanted.includes(item)) item.remove();
  wanted.forEach((item, place) => {
    if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
  });
}

function newItem(id: string): Element {
  const item = document.createElement("li");
  const title = document.createElement("input");
  item.id = `book-${id}`;
  title.name = id;
  item.append(title, document.createElement("span"));
  return item;
}

async function attempt(work: () => Promise<unknown>, undo = () => {}) {
  try {
    await work();
  } catch (problem) {
    const { reason } = problem as { reason?: string };
    say(reason ?? String(problem));
    undo();
  }
}

function say(text: string) {
  status.textContent = text;
}

function byText<T>(all: T[], text: (one: T) => string): T[] {
  return [...all].sort((a, b) => text(a).localeCompare(text(b)));
}

function find<E extends Element>(selector: string, kind: new () => E): E {
  const found = document.querySelector(selector);
  if (!(found instanceof kind)) throw new Error(`There is no ${selector}`);
  return found;
}
