// A WebSocket that reports what is sent, for whoever wants to send it once more.

import WebSocket from "ws";

export function tapped(report) {
  return class extends WebSocket {
    send(text, ...rest) {
      report("sent", { message: JSON.parse(text) });
      super.send(text, ...rest);
    }
  };
}
