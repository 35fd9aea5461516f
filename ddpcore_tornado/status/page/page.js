// The status page: a DDP client of each process of the server, whose documents it puts together.

const MINUTES = 5;
const KEEP = MINUTES * 60; // points of a chart, one a second
const MOST_ROWS = 100; // as the server tells of each process
const FIRST_ROWS = 15; // that are shown before somebody asks for the rest
const RETRY = [500, 1000, 2000, 5000]; // milliseconds until the next attempt to connect
const TOKEN = "ddpcore.status.token";

const $ = (id) => document.getElementById(id);

function element(tag, options = {}, ...children) {
  const { label, ...rest } = options;
  const made = Object.assign(document.createElement(tag), rest);
  if (label) made.dataset.label = label;
  made.append(...children);
  return made;
}

// --- DDP ---------------------------------------------------------------------------------------

class Process {
  constructor(path, number) {
    this.path = path;
    this.number = number;
    this.documents = new Map(); // collection → id → fields
    this.inside = false;
    this.attempts = 0;
    this.rate = { frames: 0, bytes: 0, cpu: 0 };
    this.wanted = new Map(); // what to subscribe to → name, params
    this.connect();
  }

  connect() {
    const url = new URL(this.path, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    this.calls = new Map();
    this.active = new Map(); // what → id
    this.ready = new Map(); // id → what to do then
    this.next = 0;
    const socket = (this.socket = new WebSocket(url));
    socket.onopen = () => this.send({ msg: "connect", version: "1", support: ["1"] });
    socket.onmessage = ({ data }) => this.take(JSON.parse(data));
    socket.onclose = () => {
      this.inside = false;
      this.last = undefined;
      this.documents.clear();
      for (const { reject } of this.calls.values()) reject({ reason: "The connection is lost." });
      setTimeout(() => this.connect(), RETRY[Math.min(this.attempts++, RETRY.length - 1)]);
      changed();
    };
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  call(method, ...params) {
    const id = `${++this.next}`;
    return new Promise((resolve, reject) => {
      this.calls.set(id, { resolve, reject });
      this.send({ msg: "method", id, method, params });
    });
  }

  // Have `what` be this subscription, or none; the old one goes when the new one is there.
  want(what, name, ...params) {
    if (name) this.wanted.set(what, [name, params]);
    else this.wanted.delete(what);
    if (this.inside) this.subscribe(what);
  }

  subscribe(what) {
    const before = this.active.get(what);
    const stop = () => before && this.send({ msg: "unsub", id: before });
    if (!this.wanted.has(what)) {
      this.active.delete(what);
      return stop();
    }
    const [name, params] = this.wanted.get(what);
    const id = `${++this.next}`;
    this.active.set(what, id);
    this.ready.set(id, stop);
    this.send({ msg: "sub", id, name, params });
  }

  async enter(token) {
    try {
      await this.call("status.enter", token);
    } catch (error) {
      if (this.socket.readyState === WebSocket.OPEN) knock(error);
      return;
    }
    this.inside = true;
    this.attempts = 0;
    for (const what of this.wanted.keys()) this.subscribe(what);
    changed();
  }

  take(message) {
    const { msg, id, collection } = message;
    if (msg === "ping") this.send(id === undefined ? { msg: "pong" } : { msg: "pong", id });
    else if (msg === "connected") this.enter(sessionStorage.getItem(TOKEN));
    else if (msg === "result") {
      const call = this.calls.get(id);
      this.calls.delete(id);
      if (message.error) call?.reject(message.error);
      else call?.resolve(message.result);
    } else if (msg === "ready") {
      for (const each of message.subs) {
        this.ready.get(each)?.();
        this.ready.delete(each);
      }
    } else if (msg === "added" || msg === "changed") {
      if (!this.documents.has(collection)) this.documents.set(collection, new Map());
      const all = this.documents.get(collection);
      const fields = Object.assign(all.get(id) ?? {}, message.fields);
      for (const name of message.cleared ?? []) delete fields[name];
      all.set(id, fields);
      if (collection === "status.process") this.measure(fields);
      changed();
    } else if (msg === "removed") {
      this.documents.get(collection)?.delete(id);
      changed();
    }
  }

  measure(now) {
    const { last } = this;
    this.last = { ...now };
    if (!last || now.clock <= last.clock) return;
    const per = (name) => Math.max(0, now[name] - last[name]) / (now.clock - last.clock);
    this.rate = { frames: per("frames"), bytes: per("bytes"), cpu: per("cpu_seconds") };
    const fences = now.fences - last.fences;
    if (fences > 0) this.fence = (now.fence_seconds - last.fence_seconds) / fences;
  }

  all(collection) {
    return [...(this.documents.get(collection) ?? [])].map(([id, fields]) => ({
      ...fields, id, process: this,
    }));
  }

  get about() {
    return this.inside ? this.documents.get("status.process")?.get("process") : undefined;
  }
}

let processes = [];
const here = () => processes.filter((each) => each.about);
const total = (pick) => here().reduce((sum, each) => sum + pick(each.about, each), 0);

// --- the door ----------------------------------------------------------------------------------

function knock(error) {
  $("door").hidden = false;
  $("inside").hidden = true;
  $("door-says").textContent = sessionStorage.getItem(TOKEN) ? error.reason : "";
  $("token").focus();
}

$("door").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, $("token").value);
  $("token").value = "";
  for (const each of processes) if (!each.inside) each.enter(sessionStorage.getItem(TOKEN));
});

// --- how to say it -----------------------------------------------------------------------------

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

function count(value) {
  if (value >= 1e6) return `${short.format(value / 1e6)} M`;
  return value >= 1e5 ? `${short.format(value / 1e3)} k` : whole.format(value);
}

function few(value) {
  return value > 0 && value < 10 ? short.format(Math.round(value * 10) / 10) : count(value);
}

function size(bytes) {
  for (const unit of ["B", "kB", "MB"]) {
    if (bytes < 1000) return `${unit === "B" ? whole.format(bytes) : short.format(bytes)} ${unit}`;
    bytes /= 1000;
  }
  return `${short.format(bytes)} GB`;
}

function lasts(seconds) {
  if (seconds == null) return "–";
  if (seconds < 1) return `${short.format(Math.round(seconds * 1e4) / 10)} ms`;
  return `${short.format(seconds)} s`;
}

function ago(since, now) {
  if (since == null) return "–";
  const seconds = Math.max(0, now - since);
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;

// --- charts ------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";

function shape(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// The least of 1, 2, 5, 10, 20, … that is not less.
function nice(value, base = 1) {
  const power = base * 10 ** Math.floor(Math.log10(Math.max(value, base) / base));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.9999);
}

class Chart {
  constructor(id, least, say) {
    this.svg = $(id);
    this.least = least;
    this.say = say;
    this.points = [];
    this.svg.addEventListener("pointermove", (event) => {
      this.over = event.offsetX;
      this.draw();
    });
    this.svg.addEventListener("pointerleave", () => {
      this.over = undefined;
      this.draw();
    });
  }

  push(value) {
    this.points.push(value);
    if (this.points.length > KEEP) this.points.shift();
  }

  draw() {
    const { width, height } = this.svg.getBoundingClientRect();
    if (!width) return;
    const left = 46, right = width - 2, top = 8, bottom = height - 18;
    const most = nice(Math.max(this.least, ...this.points));
    const x = (index) => right - ((this.points.length - 1 - index) / (KEEP - 1)) * (right - left);
    const y = (value) => bottom - (value / most) * (bottom - top);
    const parts = [];
    for (const value of [0, most / 2, most]) {
      parts.push(shape("line", { class: "grid", x1: left, x2: right, y1: Math.round(y(value)), y2: Math.round(y(value)) }));
      parts.push(shape("text", { x: left - 6, y: y(value) + 3.5, "text-anchor": "end" }, this.say(value)));
    }
    for (let minutes = 0; minutes <= MINUTES; minutes++) {
      const at = right - (minutes / MINUTES) * (right - left);
      const anchor = minutes === 0 ? "end" : minutes === MINUTES ? "start" : "middle";
      parts.push(shape("text", { x: at, y: height - 3, "text-anchor": anchor }, minutes === 0 ? "now" : minutes === MINUTES ? `−${minutes} min` : `−${minutes}`));
    }
    if (this.points.length > 1) {
      const line = this.points.map((value, i) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
      parts.push(shape("polygon", { class: "area", points: `${x(0)},${bottom} ${line} ${right},${bottom}` }));
      parts.push(shape("polyline", { class: "line", points: line }));
    }
    if (this.over >= left && this.points.length > 1) {
      const back = Math.round(((right - this.over) / (right - left)) * (KEEP - 1));
      const index = this.points.length - 1 - back;
      if (index >= 0 && back >= 0) {
        const [px, py, value] = [x(index), y(this.points[index]), this.points[index]];
        parts.push(shape("line", { class: "at", x1: px, x2: px, y1: top, y2: bottom }));
        parts.push(shape("circle", { class: "dot", cx: px, cy: py, r: 3 }));
        const anchor = px > (left + right) / 2 ? "end" : "start";
        parts.push(shape("text", { x: px + (anchor === "end" ? -6 : 6), y: top + 4, "text-anchor": anchor }, `${this.say(value)}, ${back} s ago`));
      }
    }
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.replaceChildren(...parts);
  }
}

const charts = {
  frames: new Chart("frames", 10, few),
  bytes: new Chart("bytes", 1000, size),
  sessions: new Chart("sessions-chart", 10, few),
};

function measure() {
  if (!here().length) return;
  const rates = { frames: 0, bytes: 0 };
  for (const each of here()) for (const name of ["frames", "bytes"]) rates[name] += each.rate[name];
  const sessions = total((about) => about.sessions);
  charts.frames.push(rates.frames);
  charts.bytes.push(rates.bytes);
  charts.sessions.push(sessions);
  $("frames-now").textContent = `${few(rates.frames)}/s`;
  $("bytes-now").textContent = `${size(rates.bytes)}/s`;
  $("sessions-now").textContent = count(sessions);
  for (const chart of Object.values(charts)) chart.draw();
}

// --- tables ------------------------------------------------------------------------------------

// A column: its name; what to show, a text or an element; and by what the server can order.
class Table {
  constructor(id, columns, { empty, order, descending = true, changed, open, key }) {
    this.columns = columns;
    this.empty = empty;
    this.order = order;
    this.descending = descending;
    this.open = open;
    this.key = key;
    this.heads = columns.map((column) => {
      const head = element("th", { scope: "col", className: column.number ? "number" : "" });
      if (column.order) {
        const button = element("button", { type: "button", textContent: column.name });
        button.addEventListener("click", () => {
          this.descending = this.order === column.order ? !this.descending : !column.text;
          this.order = column.order;
          this.mark();
          changed();
        });
        head.append(button);
      } else head.append(element("span", { textContent: column.name }));
      return head;
    });
    this.body = element("tbody");
    this.whole = false;
    this.more = element("button", { type: "button", className: "more", hidden: true });
    this.more.addEventListener("click", () => {
      this.whole = !this.whole;
      show();
    });
    $(id).append(element("thead", {}, element("tr", {}, ...this.heads)), this.body);
    $(id).after(this.more);
    this.mark();
  }

  mark() {
    this.columns.forEach((column, i) => {
      if (column.order && column.order === this.order) {
        this.heads[i].setAttribute("aria-sort", this.descending ? "descending" : "ascending");
      } else this.heads[i].removeAttribute("aria-sort");
    });
  }

  hide(name, hidden) {
    const index = this.columns.findIndex((column) => column.name === name);
    this.heads[index].hidden = this.columns[index].hidden = hidden;
  }

  show(rows) {
    const column = this.columns.find((each) => each.order && each.order === this.order);
    if (column) {
      const way = this.descending ? -1 : 1;
      const value = column.value;
      rows.sort((a, b) => {
        const [left, right] = [value(a), value(b)];
        return way * (left < right ? -1 : left > right ? 1 : 0) || (a.id < b.id ? -1 : 1);
      });
    }
    const old = new Map([...this.body.children].map((row) => [row.dataset.key, row]));
    rows.length = Math.min(rows.length, MOST_ROWS);
    this.more.hidden = rows.length <= FIRST_ROWS + 3;
    this.more.textContent = this.whole ? "Show fewer" : `Show ${rows.length - FIRST_ROWS} more`;
    if (!this.more.hidden && !this.whole) rows.length = FIRST_ROWS;
    const made = rows.map((row) => this.row(row, old.get(this.key(row))));
    if (!made.length) {
      made.push(element("tr", {}, element("td", { className: "none", colSpan: this.columns.length, textContent: this.empty() })));
    }
    // Only what has another place is moved: a row that is being pressed stays where it is.
    made.forEach((row, i) => {
      if (this.body.children[i] !== row) this.body.insertBefore(row, this.body.children[i] ?? null);
    });
    while (this.body.children.length > made.length) this.body.lastChild.remove();
  }

  row(row, known) {
    const line = known ?? element("tr", { className: this.open ? "open" : "" });
    line.dataset.key = this.key(row);
    if (!known && this.open) line.addEventListener("click", () => this.open(line.row));
    line.row = row;
    this.columns.forEach((column, i) => {
      const classes = ["number", "head", "wide", "side", "small"].filter((each) => column[each]);
      const cell = line.children[i] ?? line.appendChild(element("td", { label: column.name, className: classes.join(" ") }));
      if (column.nil) cell.classList.toggle("nil", column.nil(row));
      cell.hidden = Boolean(column.hidden);
      const shown = column.show(row);
      const mark = typeof shown === "string" ? shown : `${shown.className} ${shown.textContent}`;
      if (cell.shown === mark) return;
      cell.shown = mark;
      cell.replaceChildren(shown);
      cell.title = typeof shown === "string" && shown.length > 24 ? shown : "";
    });
    return line;
  }
}

const tag = (text, kind = "") => element("span", { className: `tag ${kind}`, textContent: text });
const whose = { name: "Process", small: true, show: (row) => `${row.process.number}` };
const now = (row) => row.process.about?.now ?? 0;
const key = (row) => `${row.process.number} ${row.id}`;
const found = (filter, none) => () => ($(filter).value ? "Nothing fits the filter." : none);

const sessions = new Table("sessions", [
  { name: "Session", head: true, show: (row) => element("button", { className: "link", type: "button", textContent: row.id }) },
  { ...whose },
  { name: "User", order: "user", text: true, value: (row) => row.user ?? "", show: (row) => row.user ?? "–" },
  { name: "Address", order: "address", text: true, value: (row) => row.address ?? "", show: (row) => row.address ?? "–" },
  { name: "Age", order: "since", value: (row) => row.since ?? 0, show: (row) => ago(row.since, now(row)), number: true },
  { name: "Subscriptions", order: "subscriptions", value: (row) => row.subscriptions, show: (row) => count(row.subscriptions), number: true },
  { name: "Queue", order: "queue", value: (row) => row.queue, show: (row) => count(row.queue), number: true, nil: (row) => !row.queue },
  { name: "Waiting", order: "waiting", value: (row) => row.waiting * 1e6 + row.documents_waiting, show: waiting, number: true, nil: (row) => waiting(row) === "–" },
  { name: "State", side: true, show: (row) => tag(row.state, { slow: "warn", away: "quiet" }[row.state]) },
], { order: "since", changed: wantSessions, open: openSession, key, empty: found("sessions-filter", "Nobody is connected.") });

function waiting(row) {
  if (!row.waiting && !row.documents_waiting) return "–";
  return [row.waiting && size(row.waiting), row.documents_waiting && `${count(row.documents_waiting)} changes`].filter(Boolean).join(", ");
}

const observers = new Table("observers", [
  { name: "Query", head: true, order: "name", text: true, value: (row) => row.name, show: (row) => row.name },
  { ...whose },
  { name: "Kind", side: true, order: "kind", text: true, value: (row) => row.kind, show: (row) => tag(row.kind, row.kind === "polled" ? "warn" : row.kind === "keys" ? "quiet" : "") },
  { name: "Tables", wide: true, show: (row) => row.topics.join(", ") },
  { name: "Watchers", order: "watchers", value: (row) => row.watchers, show: (row) => count(row.watchers), number: true },
  { name: "Documents", order: "documents", value: (row) => row.documents, show: (row) => count(row.documents), number: true },
  { name: "Asked", order: "asks", value: (row) => row.asks, show: (row) => count(row.asks), number: true },
  { name: "Mean time", order: "seconds", value: (row) => row.seconds ?? 0, show: (row) => (row.stuck ? tag("no answer", "warn") : lasts(row.seconds)), number: true },
], { order: "watchers", changed: wantObservers, key, empty: found("observers-filter", "Nothing is watched.") });

const table = new Table("processes", [
  { name: "Process", head: true, show: (row) => `Process ${row.process.number}` },
  { name: "Id", show: (row) => `${row.pid ?? "–"}`, number: true },
  { name: "Sessions", show: (row) => count(row.sessions ?? 0), number: true },
  { name: "Queries", show: (row) => count(Object.values(row.observers ?? {}).reduce((a, b) => a + b, 0)), number: true },
  { name: "Frames", show: (row) => `${few(row.process.rate.frames)}/s`, number: true },
  { name: "Bytes", show: (row) => `${size(row.process.rate.bytes)}/s`, number: true },
  { name: "Processor", show: (row) => `${whole.format(row.process.rate.cpu * 100)} %`, number: true },
  { name: "Memory", show: (row) => (row.memory ? size(row.memory) : "–"), number: true },
  { name: "Bus", side: true, show: (row) => (row.pid ? tag(row.connected ? "connected" : "cut off", row.connected ? "" : "warn") : tag("no answer", "warn")) },
], { key: (row) => `${row.process.number}`, empty: () => "" });

const errors = new Table("errors", [
  { name: "Where", head: true, show: (row) => row.where },
  { ...whose },
  { name: "Exception", wide: true, show: (row) => element("code", { textContent: row.type }) },
  { name: "Ago", show: (row) => ago(row.at, now(row)), number: true },
], { key, empty: () => "None since the page was made possible. Those that clients see as a 500 come here; the log has them in full." });

const subscriptions = new Table("subscriptions", [
  { name: "Publication", head: true, show: (row) => row.name ?? "(of every client)" },
  { name: "Arguments", wide: true, show: (row) => row.params.join(", ") || "–" },
  { name: "State", side: true, show: (row) => (row.ready ? tag("ready") : tag("waiting", "warn")) },
], { key, empty: () => "None." });

// --- what to ask for ---------------------------------------------------------------------------

function wantSessions() {
  const { order, descending } = sessions;
  for (const each of processes) each.want("sessions", "status.sessions", order, descending, $("sessions-filter").value);
}

function wantObservers() {
  const { order, descending } = observers;
  for (const each of processes) each.want("observers", "status.observers", order, descending, $("observers-filter").value);
}

for (const [id, want] of [["sessions-filter", wantSessions], ["observers-filter", wantObservers]]) {
  let soon;
  $(id).addEventListener("input", () => {
    clearTimeout(soon);
    soon = setTimeout(want, 200);
  });
}

// --- one session -------------------------------------------------------------------------------

let opened; // its process and id

function openSession(row) {
  opened = { process: row.process, id: row.id };
  $("session-id").textContent = row.id;
  $("close").className = "danger";
  $("close").textContent = "Close session";
  row.process.want("session", "status.session", row.id);
  showSession();
  $("session").showModal();
}

function showSession() {
  const about = opened.process.documents.get("status.session")?.get(opened.id);
  $("close").disabled = !about;
  $("session-says").textContent = about ? "Its client will connect again, as a new session." : "This session is over.";
  if (about) {
    const time = about.since && new Date(about.since * 1000).toLocaleString();
    const facts = [
      ["User", about.user ?? "nobody"], ["Address", about.address ?? "unknown"],
      ["State", about.state], ["Since", time ?? "–"],
      ["Messages in the queue", count(about.queue)], ["Waiting to be sent", waiting(about)],
    ];
    if (about.agent) facts.push(["Client", about.agent, "wide"]);
    $("session-facts").replaceChildren(...facts.map(([name, text, className = ""]) =>
      element("div", { className }, element("dt", { textContent: name }), element("dd", { textContent: text }))));
    $("session-count").textContent = count(about.subscriptions);
  }
  subscriptions.show(opened.process.all("status.subscriptions").filter((each) => each.session === opened.id));
}

$("session").addEventListener("close", () => {
  opened?.process.want("session");
  opened = undefined;
});
$("leave").addEventListener("click", () => $("session").close());
$("session").addEventListener("click", (event) => event.target === $("session") && $("session").close());
$("close").addEventListener("click", async () => {
  const button = $("close");
  if (!button.classList.contains("sure")) {
    button.classList.add("sure");
    button.textContent = "Really close it";
    return;
  }
  try {
    await opened.process.call("status.close", opened.id);
    $("session").close();
  } catch (error) {
    $("session-says").textContent = error.reason;
  }
});

// --- all of it ---------------------------------------------------------------------------------

function pill(kind, text) {
  return element("span", { className: `pill ${kind}` }, element("span", { textContent: text }));
}

function tile(name, value, small = "", kind = "") {
  return element("div", { className: `tile ${kind}` },
    element("h2", { textContent: name }), element("b", { textContent: value }),
    element("small", { textContent: small, title: small }));
}

let waits = false;
function changed() {
  if (waits) return;
  waits = true;
  setTimeout(() => {
    waits = false;
    show();
  }, 60);
}

function show() {
  const there = here();
  const pills = [];
  if (there.length < processes.length) {
    const missing = processes.length - there.length;
    pills.push(pill(there.length ? "warn" : "bad", there.length ? `${plural(missing, "process does", "processes do")} not answer` : "connecting"));
  }
  if (there.length) {
    const cut = there.filter((each) => !each.about.connected);
    pills.push(cut.length ? pill("bad", "bus cut off") : pill("good", `${there[0].about.bus} connected`));
    pills.push(pill("good", `live, ${plural(there.length, "process", "processes")}`));
    $("version").textContent = there[0].about.version;
    $("door").hidden = true;
    $("inside").hidden = false;
  }
  $("state").replaceChildren(...pills);
  if (!there.length) return;

  const sum = (name) => total((about) => about[name]);
  const kinds = (name) => total((about) => about.observers[name] ?? 0);
  const fences = there.map((each) => each.fence).filter((each) => each !== undefined);
  const longest = Math.max(...there.map((each) => each.about.fence_longest));
  const queries = kinds("matched") + kinds("keys") + kinds("polled");
  const [slow, gaps, failures] = ["slow", "gaps", "errors"].map(sum);
  $("tiles").replaceChildren(
    tile("Sessions", count(sum("sessions")), `${plural(sum("users"), "user", "users")}, ${count(sum("away"))} away`),
    tile("Subscriptions", count(sum("subscriptions")), `${few(sum("subscriptions") / Math.max(1, sum("sessions")))} a session`),
    tile("Queries", count(queries), ["matched", "polled", "keys"].filter(kinds).map((kind) => `${count(kinds(kind))} ${kind}`).join(", ")),
    tile("Documents", count(sum("documents")), plural(sum("watchers"), "watcher", "watchers")),
    tile("Lag", fences.length ? lasts(fences.reduce((a, b) => a + b, 0) / fences.length) : "–", longest ? `longest ${lasts(longest)}` : "of methods\u2019 writes"),
    tile("Gaps", count(gaps), `${plural(sum("events"), "event", "events")}`, gaps ? "warn" : ""),
    tile("Slow clients", count(slow), `${count(sum("cut_off"))} cut off so far`, slow ? "warn" : ""),
    tile("Failures", count(failures), "of handlers", failures ? "bad" : ""),
  );
  table.show(processes.map((each) => ({ ...each.about, id: `${each.number}`, process: each })));
  const rows = there.flatMap((each) => each.all("status.sessions"));
  showCount("sessions-count", Math.min(rows.length, MOST_ROWS), sum("sessions"));
  sessions.show(rows);
  const watched = there.flatMap((each) => each.all("status.observers"));
  showCount("observers-count", Math.min(watched.length, MOST_ROWS), queries);
  observers.show(watched);
  errors.show(there.flatMap((each) => each.all("status.errors")).sort((a, b) => b.at - a.at));
  if (opened) showSession();
}

function showCount(id, shown, all) {
  $(id).textContent = shown < all ? `${count(shown)} of ${count(all)}` : count(all);
}

async function begin() {
  let sockets;
  try {
    ({ sockets } = await (await fetch("processes")).json());
  } catch {
    $("state").replaceChildren(pill("bad", "no answer"));
    setTimeout(begin, RETRY.at(-1));
    return;
  }
  processes = sockets.map((path, i) => new Process(path, Number(path.match(/^\d+/)?.[0] ?? i + 1)));
  for (const each of processes) each.want("process", "status.process");
  for (const each of [sessions, observers, errors]) each.hide("Process", processes.length === 1);
  wantSessions();
  wantObservers();
  changed();
  setInterval(measure, 1000);
}

begin();
