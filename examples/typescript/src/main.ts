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
  select.replaceChildren(...authors.map(({ id, name }) => new Option(name, id, false, id === select.value)));
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
  if (target instanceof HTMLInputElement) {
    const { name: id, value } = target;
    attempt(async () => {
      await live.call("bookstore.renameBook", id, value);
    });
  }
});

function show() {
  const names = new Map(authors.map(({ id, name }) => [id, name]));
  const focused = document.activeElement;
  if (focused instanceof HTMLInputElement && list.contains(focused)) focused.blur();
  list.replaceChildren(
    ...books.map((book) => {
      const item = document.createElement("li");
      const title = document.createElement("input");
      const author = document.createElement("span");
      title.name = book.id;
      title.value = book.title;
      title.setAttribute("value", book.title);
      author.textContent = names.get(book.author_id) ?? "";
      item.append(title, author);
      return item;
    }),
  );
}

async function attempt(work: () => Promise<void>) {
  try {
    await work();
  } catch (problem) {
    const { reason } = problem as { reason?: string };
    say(reason ?? String(problem));
    show();
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
