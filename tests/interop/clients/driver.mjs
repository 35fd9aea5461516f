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

import { createInterface } from "node:readline";

export const COLLECTIONS = ["bookstore.author", "bookstore.book"];

// Dates travel as {"date": …}, unlike EJSON, so that no mere {"$date": …} is taken for a Date.
function pack(key, value) {
  return this[key] instanceof Date ? { date: this[key].toISOString() } : value;
}

function unpack(key, value) {
  return typeof value?.date === "string" ? new Date(value.date) : value;
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
  const run = async ([command, args]) => {
    try {
      print({ answer: command, value: await client[command](...args) });
    } catch (error) {
      print({ answer: command, error: describe(error) });
    }
  };
  for await (const line of createInterface({ input: process.stdin })) run(JSON.parse(line, unpack));
  await client.close();
  process.exit();
}
