// simpleddp comes without types: these are of what this application uses of it.

declare module "simpleddp" {
  interface Options {
    endpoint: string;
    SocketConstructor: typeof WebSocket;
    reconnectInterval?: number;
  }

  interface Subscription {
    ready(): Promise<void>;
    stop(): Promise<void>;
  }

  interface Collection {
    reactive(): { data(): unknown[]; onChange(changed: (documents: unknown[]) => void): void };
  }

  export default class simpleDDP {
    constructor(options: Options);
    call(name: string, ...params: unknown[]): Promise<unknown>;
    subscribe(name: string, ...params: unknown[]): Subscription;
    collection(name: string): Collection;
    on(event: "connected" | "disconnected", heard: () => void): void;
  }
}
