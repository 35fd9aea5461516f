// Lets the Python tests use a JavaScript client: a line of JSON is a command, a line answers it,
// and what the client sees is reported as it happens.
//
//   in:  ["call", ["bookstore.addBook", ["Persuasion", "7"]]]
//   out: {"event": "added", "collection": "bookstore.book", "document": {"_id": "9", …}}
//        {"answer": "call", "value": "9"}   or   {"answer": "call", "error": {"error": 404, …}}
//
// A client is an object with these methods, each of which may be asynchronous:
//   connect()   subscribe(key, name, params): until ready   unsubscribe(key)
//   call(method, params)   documents(collection)   close()
// and, where it can: disconnect()   reconnect()   insert(collection, document)
//
// Two more commands work with each:
//   start(tag, command, …arguments): answered at once; how it ends is reported as "done"
//   churn(name, params, times): subscribe and stop in a row, waiting for nothing

import { createInterface } from "node:readline";

export const COLLECTIONS = ["bookstore.author", "bookstore.book", "interop.note"];

// Dates travel as {"date": …}, unlike EJSON, so that no mere {"$date": …} is taken for a Date;
// numbers that JSON lacks and binary do alike.
function pack(key, value) {
  const original = this[key];
  if (original instanceof Date) return { date: original.toISOString() };
  if (original instanceof Uint8Array) return { binary: Buffer.from(original).toString("base64") };
  if (typeof value === "number" && !Number.isFinite(value)) return { number: String(value) };
  return value;
}

function unpack(key, value) {
  if (typeof value?.date === "string") return new Date(value.date);
  if (typeof value?.binary === "string") {
    return new Uint8Array(Buffer.from(value.binary, "base64"));
  }
  if (typeof value?.number === "string") return Number(value.number);
  return value;
}

function print(message) {
  process.stdout.write(JSON.stringify(message, pack) + "\n");
}

function describe(error) {
  if (error?.error === undefined) return { error: String(error?.stack ?? error) };
  const { error: code, reason, details } = error;
  return { error: code, reason, details };
}

export async function drive(makeClient) {
  const [url, ...options] = process.argv.slice(2);
  const report = (event, fields) => print({ event, ...fields });
  const client = await makeClient(url, report, ...options);
  const commands = {
    ...client,
    start(tag, command, ...args) {
      Promise.resolve(client[command](...args)).then(
        (value) => report("done", { tag, value }),
        (error) => report("done", { tag, error: describe(error) }),
      );
    },
    churn(name, params, times) {
      const ignore = () => {};
      for (let i = 0; i < times; i++) {
        Promise.resolve(client.subscribe(`churn ${i}`, name, params)).catch(ignore);
        Promise.resolve(client.unsubscribe(`churn ${i}`)).catch(ignore);
      }
    },
  };
  const run = async ([command, args]) => {
    try {
      print({ answer: command, value: await commands[command](...args) });
    } catch (error) {
      print({ answer: command, error: describe(error) });
    }
  };
  for await (const line of createInterface({ input: process.stdin })) run(JSON.parse(line, unpack));
  await client.close();
  process.exit();
}
