// One window of the bookstore: shows what its subscription holds, and changes it by methods.

import { DDP } from './ddp.js';

const $ = (id) => document.getElementById(id);
const part = (element, name) => element.querySelector(`[data-test="${name}"]`);
const who = document.body.dataset.who;

const ddp = new DDP();
const authors = () => ddp.collection('bookstore.author');
const books = () => ddp.collection('bookstore.book');

// ── Publications: all books, or those of one author ──────────────────────────────────────────

let subscription = ddp.subscribe('AllBooks');
let email = '';
let switching = 1; // while above zero, what comes and goes is our own doing

subscription.ready.then(() => {
  switching--;
  render();
});

async function show(wanted) {
  $('filter-email').value = wanted;
  $('filter-clear').hidden = !wanted;
  if (wanted === email) return;
  email = wanted;
  const before = subscription;
  subscription = email ? ddp.subscribe('BooksByAuthorEmail', email) : ddp.subscribe('AllBooks');
  switching++;
  render();
  await subscription.ready; // the new view first, then the end of the old: nothing flickers
  await before.stop();
  switching--;
}

$('filter').addEventListener('submit', (event) => {
  event.preventDefault();
  show($('filter-email').value.trim());
});
$('filter-email').addEventListener('input', ({ target }) => {
  const known = [...$('emails').options].some((option) => option.value === target.value);
  if (known || !target.value) show(target.value);
});
$('filter-clear').addEventListener('click', () => show(''));

// ── Methods ──────────────────────────────────────────────────────────────────────────────────

async function call(method, ...params) {
  const start = performance.now();
  tell('call');
  try {
    const result = await ddp.call(`bookstore.${method}`, ...params);
    showRoundTrip(performance.now() - start);
    $('notice').textContent = '';
    return result;
  } catch (error) {
    $('notice').textContent = error.message;
    render();
  }
}

$('add').addEventListener('submit', async (event) => {
  event.preventDefault();
  const { title, author, name, email } = event.target.elements;
  const id = author.value || (await call('addAuthor', name.value, email.value));
  if (!id) return;
  const added = await call('addBook', title.value, id);
  author.value = id; // once it is among the options, should the title have been refused
  chooseAuthor();
  if (added) title.value = name.value = email.value = '';
  title.focus();
});
$('add').elements.author.addEventListener('change', chooseAuthor);

function chooseAuthor() {
  $('new-author').hidden = $('new-author').disabled = Boolean($('add').elements.author.value);
}

// ── The shelves ──────────────────────────────────────────────────────────────────────────────

const elements = new Map(); // what shows a document: 'collection/id' → element

function element(kind, id, build) {
  const key = `bookstore.${kind}/${id}`;
  if (!elements.has(key)) {
    const made = $(kind).content.firstElementChild.cloneNode(true);
    made.dataset.id = id;
    build(made);
    elements.set(key, made);
  }
  return elements.get(key);
}

function authorElement(id, author) {
  const section = element('author', id, (made) => {
    made.style.setProperty('--hue', (id * 67) % 360 || 0);
    editable(part(made, 'author-name'), (name) => call('renameAuthor', id, name));
    editable(part(made, 'author-email'), (email) => call('changeEmail', id, email));
    part(made, 'only-author').onclick = ({ currentTarget: only }) =>
      show(only.getAttribute('aria-pressed') === 'true' ? '' : authors().get(id).email);
    part(made, 'remove-author').onclick = () => call('removeAuthor', id);
  });
  write(part(section, 'author-name'), author.name, 'Rename the author');
  write(part(section, 'author-email'), author.email, `Change the e-mail of ${author.name}`);
  part(section, 'only-author').setAttribute('aria-pressed', author.email === email);
  part(section, 'only-author').setAttribute('aria-label', `Only books by ${author.name}`);
  part(section, 'remove-author').setAttribute('aria-label', `Remove ${author.name}`);
  return section;
}

function bookElement(id, book) {
  const row = element('book', id, (made) => {
    editable(part(made, 'book-title'), (title) => call('renameBook', id, title));
    part(made, 'remove-book').onclick = () => call('removeBook', id);
  });
  write(part(row, 'book-title'), book.title, 'Rename the book');
  part(row, 'remove-book').setAttribute('aria-label', `Remove ${book.title}`);
  return row;
}

function render() {
  const shelves = new Map();
  for (const [id, author] of inOrder(authors())) shelves.set(id, [authorElement(id, author), []]);
  for (const [id, book] of inOrder(books())) shelves.get(book.author_id)?.[1].push(bookElement(id, book));
  for (const [section, rows] of shelves.values()) {
    arrange(section.querySelector('ul'), rows);
    part(section, 'remove-author').hidden = rows.length > 0;
  }
  arrange($('shelves'), [...shelves.values()].map(([section]) => section));
  for (const key of elements.keys()) {
    const [collection, id] = key.split('/');
    if (!ddp.collection(collection).has(id)) elements.delete(key);
  }

  $('empty').hidden = shelves.size > 0;
  $('empty').textContent = email
    ? `Nobody has the e-mail ${email} at the moment. Give it to an author, and the books appear here.`
    : 'The shelves are empty. Add a book.';
  offerAuthors();
}

// The author menu, and the addresses that the filter offers: those of the widest view seen.
function offerAuthors() {
  if (!email) $('emails').replaceChildren(...[...authors().values()].map((author) => new Option('', author.email)));
  const menu = $('add').elements.author;
  const options = inOrder(authors()).map(([id, { name }]) => new Option(name, id));
  const before = menu.options.length > 1 ? menu.value : null;
  const same = [...options, menu.options[menu.length - 1]].every((option, i) => option.isEqualNode(menu.options[i]));
  if (same && menu.length === options.length + 1) return; // an open menu stays open
  menu.replaceChildren(...options, menu.options[menu.length - 1]);
  menu.value = before === '' || authors().has(before) ? before : options[0]?.value ?? '';
  chooseAuthor();
}

const inOrder = (documents) => [...documents].sort(([a], [b]) => a - b);

// Put exactly these children in, moving no more than needed: a moved input would lose its focus.
function arrange(parent, children) {
  for (const child of [...parent.children]) if (!children.includes(child)) child.remove();
  children.forEach((child, i) => {
    if (parent.children[i] !== child) parent.insertBefore(child, parent.children[i] ?? null);
  });
}

function write(button, text, action) {
  if (button.textContent !== text) button.textContent = text;
  button.title = action;
}

// A text that turns into a field when clicked. Enter, or leaving it, saves; Escape does not.
function editable(button, save) {
  button.addEventListener('click', () => {
    const old = button.textContent;
    const input = document.createElement('input');
    Object.assign(input, { value: old, className: 'edit', maxLength: 200, autocomplete: 'off' });
    input.setAttribute('aria-label', button.title);
    input.dataset.test = 'edit';
    button.hidden = true;
    button.after(input);
    input.select();

    const finish = (keep, refocus) => {
      if (!button.hidden) return; // leaving is the last thing a field does, also after Enter
      button.hidden = false;
      const text = input.value;
      input.remove();
      if (refocus) button.focus();
      if (!keep || text === old) return;
      button.textContent = text;
      save(text);
    };
    input.addEventListener('blur', () => finish(true, false));
    input.addEventListener('keydown', (event) => {
      if (event.isComposing || !['Enter', 'Escape'].includes(event.key)) return;
      event.preventDefault(); // or Enter would press the button that has the focus next
      finish(event.key === 'Enter', true);
    });
  });
}

// ── What happens: changes flash, are counted and told ────────────────────────────────────────

let touched = [];

ddp.addEventListener('change', ({ detail }) => {
  if (touched.push(detail) === 1) queueMicrotask(shown); // one rendering for all of a frame
});

function shown() {
  const changes = touched;
  touched = [];
  render();
  if (switching) return;
  $('changes').textContent = Number($('changes').textContent) + changes.length;
  $('news').textContent = tellChange(changes.at(-1));
  for (const { collection, id } of changes) flash(elements.get(`${collection}/${id}`));
  tell('shown');
}

function tellChange({ kind, collection, before, document }) {
  const name = (it) => (collection === 'bookstore.book' ? `“${it.title}”` : it.name);
  if (kind === 'added') return `New here: ${name(document)}`;
  if (kind === 'removed') return `Gone from here: ${name(before)}`;
  if (name(before) !== name(document)) return `${name(before)} is now ${name(document)}`;
  if (before.email !== document.email) return `${name(document)} is now at ${document.email}`;
  return `${name(document)} has changed`;
}

function flash(shownBy) {
  if (!shownBy) return;
  shownBy.classList.remove('flash');
  void shownBy.offsetWidth; // lets the animation begin anew
  shownBy.classList.add('flash');
}

// To the page around us, which compares the clocks of both windows.
function tell(kind) {
  parent.postMessage({ kind, who, at: performance.timeOrigin + performance.now() }, location.origin);
}

// ── Connection and wire ──────────────────────────────────────────────────────────────────────

ddp.addEventListener('status', ({ detail: status }) => showStatus(status));

async function showStatus(status) {
  $('status').dataset.status = status;
  $('status').textContent = status === 'waiting' ? 'reconnecting' : status;
  if (status === 'connected') showRoundTrip(await ddp.ping());
}

function showRoundTrip(milliseconds) {
  $('round-trip').textContent = `${milliseconds.toFixed(1)} ms`;
}

ddp.addEventListener('frame', ({ detail: { way, text } }) => {
  const wire = $('wire');
  const row = document.createElement('li');
  row.className = way;
  row.dataset.test = 'frame';
  row.textContent = text;
  wire.append(row);
  if (wire.children.length > 200) wire.firstElementChild.remove();
  wire.scrollTop = wire.scrollHeight;
});

$('wire-toggle').addEventListener('click', ({ currentTarget: toggle }) => {
  $('wire').hidden = !$('wire').hidden;
  toggle.setAttribute('aria-expanded', !$('wire').hidden);
  $('wire').scrollTop = $('wire').scrollHeight;
});
