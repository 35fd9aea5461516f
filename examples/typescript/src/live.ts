// simpleddp with the types of the server: names, parameters, results and documents.

import simpleDDP from "simpleddp";
import type { Collections, Methods, Publications } from "./bookstore";

export type Document<C extends keyof Collections> = { id: string } & Collections[C];

export function connect(endpoint: string) {
  const ddp = new simpleDDP({ endpoint, SocketConstructor: WebSocket, reconnectInterval: 1000 });
  return {
    on: ddp.on.bind(ddp),

    call<M extends keyof Methods>(name: M, ...params: Parameters<Methods[M]>) {
      return ddp.call(name, ...params) as Promise<ReturnType<Methods[M]>>;
    },

    subscribe<P extends keyof Publications>(name: P, ...params: Parameters<Publications[P]>) {
      return ddp.subscribe(name, ...params);
    },

    watch<C extends keyof Collections>(name: C, changed: (documents: Document<C>[]) => void) {
      const all = ddp.collection(name).reactive();
      all.onChange((documents) => changed(documents as Document<C>[]));
      changed(all.data() as Document<C>[]);
    },
  };
}
