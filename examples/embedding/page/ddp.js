// As much of DDP as this page needs, over one WebSocket; see ../../bookstore for a whole client.

export class DDP {
  documents = new Map(); // 'collection/id' → fields
  #calls = new Map();
  #names;
  #onChange;
  #socket;
  #attempts = 0;
  #last = 0;

  // onChange(status): something is to be drawn.
  constructor(url, names, onChange) {
    Object.assign(this, { url });
    this.#names = names;
    this.#onChange = onChange;
    this.#connect();
  }

  collection(name) {
    const of = [...this.documents].filter(([key]) => key.startsWith(`${name}/`));
    return of.map(([key, fields]) => ({ id: key.slice(name.length + 1), ...fields }));
  }

  call(method, ...params) {
    const id = String(++this.#last);
    return new Promise((resolve, reject) => {
      if (this.#socket.readyState !== WebSocket.OPEN) return reject(new Error('Not connected.'));
      this.#calls.set(id, { resolve, reject });
      this.#send({ msg: 'method', id, method, params });
    });
  }

  #send = (message) => this.#socket.send(JSON.stringify(message));

  #connect() {
    this.#onChange('connecting');
    const socket = (this.#socket = new WebSocket(this.url));
    socket.onopen = () => this.#send({ msg: 'connect', version: '1', support: ['1'] });
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = () => {
      for (const { reject } of this.#calls.values()) reject(new Error('The connection was lost.'));
      this.#calls.clear();
      this.#onChange('waiting');
      setTimeout(() => this.#connect(), Math.min(10_000, 250 * 2 ** this.#attempts++));
    };
  }

  #receive({ msg, id, ...message }) {
    if (msg === 'connected') {
      this.#attempts = 0;
      this.documents.clear(); // all of it comes again
      this.#names.forEach((name) => this.#send({ msg: 'sub', id: name, name, params: [] }));
    } else if (msg === 'ping') {
      this.#send({ ...(id && { id }), msg: 'pong' });
    } else if (['added', 'changed', 'removed'].includes(msg)) {
      const key = `${message.collection}/${id}`;
      const fields = { ...this.documents.get(key), ...message.fields };
      for (const name of message.cleared ?? []) delete fields[name];
      if (msg === 'removed') this.documents.delete(key);
      else this.documents.set(key, fields);
      this.#onChange('connected');
    } else if (msg === 'ready') {
      this.#onChange('connected');
    } else if (msg === 'result') {
      const { resolve, reject } = this.#calls.get(id);
      this.#calls.delete(id);
      if (message.error) reject(new Error(message.error.reason ?? message.error.message));
      else resolve(message.result);
    }
  }
}
