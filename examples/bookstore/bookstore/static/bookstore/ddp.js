// A browser's side of DDP version 1: live collections, subscriptions and methods over one
// WebSocket, found again by itself when it is lost. No dependencies.
//
//   const ddp = new DDP();
//   ddp.addEventListener('change', ({ detail }) => console.log(detail));
//   await ddp.subscribe('AllBooks').ready;
//   ddp.collection('bookstore.book').get('1').title;
//   await ddp.call('bookstore.renameBook', '1', 'Emma');
//
// Events, each with a `detail`:
//   status  'connecting' | 'connected' | 'waiting' | 'failed' | 'closed'
//   change  {kind: 'added' | 'changed' | 'removed', collection, id, document, before}
//   frame   {way: 'in' | 'out', text}: every message, as it passes

export class DDPError extends Error {
  constructor({ error, reason, message, details }) {
    super(reason ?? message ?? String(error));
    Object.assign(this, { error, details });
  }
}

export class DDP extends EventTarget {
  status = 'closed';
  #socket = null;
  #collections = new Map(); // name → Map of id → document: what the page sees
  #fresh = null; // the same, rebuilt after `connected`, until every subscription has answered
  #subscriptions = new Map();
  #calls = new Map();
  #pings = new Map();
  #stops = new Map();
  #lastId = 0;
  #attempts = 0;
  #retry;
  #silence;

  constructor(url = `${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}/websocket`) {
    super();
    this.url = url;
    addEventListener('online', () => this.status === 'waiting' && this.connect());
    this.connect();
  }

  collection(name) {
    return this.#collections.get(name) ?? new Map();
  }

  // Resolves once both the result is here and its effects are in the collections. A call made
  // while offline is sent on reconnecting; one already sent is never sent twice, it fails.
  call(method, ...params) {
    const id = this.#nextId();
    const call = { message: { msg: 'method', id, method, params }, ...deferred() };
    this.#calls.set(id, call);
    if (this.status === 'connected') this.#sendCall(call);
    return call.promise;
  }

  subscribe(name, ...params) {
    const id = this.#nextId();
    const { promise: ready, resolve, reject } = deferred();
    ready.catch(() => {}); // a refusal nobody waits for is no error of the page
    const subscription = { message: { msg: 'sub', id, name, params }, resolve, reject, answered: false };
    this.#subscriptions.set(id, subscription);
    if (this.status === 'connected') this.#send(subscription.message);
    return { ready, stop: () => this.#unsubscribe(id) };
  }

  // How long a message takes there and back, in milliseconds.
  ping() {
    const id = this.#nextId();
    const { promise, resolve } = deferred();
    const start = performance.now();
    this.#pings.set(id, () => resolve(performance.now() - start));
    this.#send({ msg: 'ping', id });
    return promise;
  }

  connect() {
    clearTimeout(this.#retry);
    this.#setStatus('connecting');
    const socket = (this.#socket = new WebSocket(this.url));
    const ours = (handle) => (event) => socket === this.#socket && handle(event);
    socket.onopen = ours(() => this.#send({ msg: 'connect', version: '1', support: ['1'] }));
    socket.onmessage = ours(({ data }) => this.#receive(data));
    socket.onclose = ours(() => this.#lost());
    this.#listen();
  }

  close(status = 'closed') {
    this.#drop();
    this.#setStatus(status);
  }

  #receive(text) {
    this.#listen();
    this.#emit('frame', { way: 'in', text });
    const message = JSON.parse(text);
    switch (message.msg) {
      case 'connected':
        return this.#connected();
      case 'failed': // no version in common: trying again would not help
        return this.close('failed');
      case 'ping':
        return this.#send({ ...message, msg: 'pong' });
      case 'pong':
        this.#pings.get(message.id)?.();
        return this.#pings.delete(message.id);
      case 'added':
      case 'changed':
      case 'removed':
        return this.#change(message);
      case 'ready':
        for (const id of message.subs) {
          const subscription = this.#subscriptions.get(id);
          if (subscription) subscription.answered = true;
        }
        return this.#settle();
      case 'nosub':
        this.#subscriptions.get(message.id)?.reject(new DDPError(message.error ?? { reason: 'Stopped.' }));
        this.#subscriptions.delete(message.id);
        this.#stops.get(message.id)?.();
        this.#stops.delete(message.id);
        return this.#settle();
      case 'result':
        return this.#answer(message.id, { result: message });
      case 'updated':
        return message.methods.forEach((id) => this.#answer(id, { updated: true }));
      case 'error':
        return console.warn('DDP:', message.reason, message.offendingMessage);
    }
  }

  #connected() {
    this.#attempts = 0;
    this.#fresh = new Map();
    this.#setStatus('connected');
    for (const subscription of this.#subscriptions.values()) {
      subscription.answered = false;
      this.#send(subscription.message);
    }
    for (const call of this.#calls.values()) this.#sendCall(call);
    this.#settle();
  }

  // Keep what the page shows and look for a new connection: more and more patiently, and not all
  // clients in the same moment.
  #lost() {
    this.#drop();
    this.#setStatus('waiting');
    const delay = Math.min(30_000, 250 * 2 ** this.#attempts++) * (0.75 + Math.random() / 2);
    this.#retry = setTimeout(() => this.connect(), delay);
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = this.#fresh = null; // from here on we no longer hear it
    socket?.close();
    clearTimeout(this.#retry);
    clearTimeout(this.#silence);
    this.#pings.clear();
    for (const stopped of this.#stops.values()) stopped();
    this.#stops.clear();
    for (const [id, call] of this.#calls) {
      if (!call.sent) continue;
      this.#calls.delete(id);
      call.reject(new DDPError({ reason: 'The connection was lost before the answer came.' }));
    }
  }

  // A server that lives pings at least every half minute.
  #listen() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#lost(), 60_000);
  }

  #change({ msg: kind, collection, id, fields = {}, cleared = [] }) {
    const collections = this.#fresh ?? this.#collections;
    if (!collections.has(collection)) collections.set(collection, new Map());
    const documents = collections.get(collection);
    const before = documents.get(id);
    if (kind === 'removed') {
      documents.delete(id);
    } else {
      const document = { ...before, ...fields };
      for (const name of cleared) delete document[name];
      documents.set(id, document);
    }
    if (!this.#fresh) this.#emit('change', { kind, collection, id, before, document: documents.get(id) });
  }

  // Once every subscription has answered, what was rebuilt takes the place of what is shown; only
  // the difference is told. Then those who wait for a subscription may look.
  #settle() {
    const subscriptions = [...this.#subscriptions.values()];
    if (this.#fresh) {
      if (!subscriptions.every(({ answered }) => answered)) return;
      const [old, now] = [this.#collections, this.#fresh];
      this.#collections = now;
      this.#fresh = null;
      for (const collection of new Set([...old.keys(), ...now.keys()])) {
        this.#emitDifference(collection, old.get(collection) ?? new Map(), now.get(collection) ?? new Map());
      }
    }
    for (const { answered, resolve } of subscriptions) if (answered) resolve();
  }

  #emitDifference(collection, old, now) {
    for (const id of new Set([...old.keys(), ...now.keys()])) {
      const [before, document] = [old.get(id), now.get(id)];
      if (JSON.stringify(before) === JSON.stringify(document)) continue;
      const kind = !before ? 'added' : !document ? 'removed' : 'changed';
      this.#emit('change', { kind, collection, id, before, document });
    }
  }

  #answer(id, part) {
    const call = this.#calls.get(id);
    if (!call) return;
    Object.assign(call, part);
    if (!call.result || !call.updated) return;
    this.#calls.delete(id);
    if (call.result.error) call.reject(new DDPError(call.result.error));
    else call.resolve(call.result.result);
  }

  #sendCall(call) {
    call.sent = true;
    this.#send(call.message);
  }

  // Resolves once what the subscription alone had brought is gone.
  #unsubscribe(id) {
    const { promise, resolve } = deferred();
    if (this.#subscriptions.delete(id) && this.status === 'connected') {
      this.#stops.set(id, resolve);
      this.#send({ msg: 'unsub', id });
    } else {
      resolve();
    }
    this.#settle();
    return promise;
  }

  #send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return; // its close event is on the way
    const text = JSON.stringify(message);
    this.#socket.send(text);
    this.#emit('frame', { way: 'out', text });
  }

  #setStatus(status) {
    this.status = status;
    this.#emit('status', status);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #nextId() {
    return String(++this.#lastId);
  }
}

function deferred() {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}
