/** The pairing endpoint's process: it ends TLS, checks frames, and passes them on. It holds no secret but its own leaf's key. */
import { Socket } from "node:net";
import { TransportError, type Authorize, type Listener, type Transport } from "@quaymesh/protocol";
import {
  BEAT_MS,
  CHILD_PIPE_FD,
  encodeLine,
  parseOrder,
  type ChildOrder,
  type ChildReport,
} from "../child-protocol.ts";
import { readLines } from "../line-pipe.ts";
import { PeerRelay } from "./peer-relay.ts";

/** How long peers may take to read their last answer once the endpoint is told to stop. Less than the gateway waits before it kills the process. */
const STOP_MS = 1_000;

/** ALPN of the pairing endpoint. docs/wire.md, "Endpoints". */
const PAIRING_PROTOCOL = "quaymesh-pair/1";

/**
 * Run the pairing endpoint: call this, and nothing else, from the module given as `pairing.childModule`. It takes its orders from the gateway that started the process, and
 * resolves once the gateway has gone or has told it to stop; the process then ends by itself.
 */
export async function runPairingChild(transport: Transport): Promise<void> {
  // A terminal's Ctrl-C goes to the whole process group; when to stop is the gateway's to say.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => {});
  const pipe = new Socket({ fd: CHILD_PIPE_FD, readable: true, writable: true });
  const report = (message: ChildReport) => {
    if (pipe.writable) pipe.write(encodeLine(message));
  };
  const endpoint = new ChildEndpoint(transport, report);
  const beat = setInterval(() => report({ kind: "beat" }), BEAT_MS);
  try {
    for await (const line of readLines(pipe)) {
      const order = parseOrder(line);
      if (order === undefined) continue;
      if (order.kind === "stop") {
        // Before the loop ends: that closes the pipe, and the gateway kills a process whose pipe is closed.
        await endpoint.close();
        break;
      }
      if (!(await endpoint.obey(order))) break;
    }
  } finally {
    clearInterval(beat);
    await endpoint.close();
    pipe.destroy();
  }
}

/** Identity is decided by the pairing protocol; here a peer needs one certificate, so that there is a key to bind to. */
const oneCertificate: Authorize = ({ chain }) =>
  chain.length === 1 ? { kind: "accept" } : { kind: "refuse", reason: "denied" };

class ChildEndpoint {
  readonly #transport: Transport;
  readonly #report: (message: ChildReport) => void;
  readonly #peers = new Map<number, PeerRelay>();
  readonly #running = new Set<Promise<void>>();
  #listener: Listener | undefined;
  #accepting: Promise<void> | undefined;
  #nextId = 1;
  #stopping = false;

  constructor(transport: Transport, report: (message: ChildReport) => void) {
    this.#transport = transport;
    this.#report = report;
  }

  /** @returns false when there is nothing left to run */
  async obey(order: Exclude<ChildOrder, { kind: "stop" }>): Promise<boolean> {
    switch (order.kind) {
      case "listen":
        return this.#listen(order);
      case "send":
        this.#peers.get(order.id)?.send(Buffer.from(order.frame, "base64"));
        return true;
      case "end":
        this.#peers.get(order.id)?.end(Buffer.from(order.frame, "base64"));
        return true;
      case "drop":
        this.#peers.get(order.id)?.drop();
        return true;
      default:
        return order satisfies never;
    }
  }

  /** Answer who is connected, then end. Takes {@link STOP_MS} at most. */
  async close(): Promise<void> {
    this.#stopping = true;
    for (const relay of this.#peers.values()) relay.stop();
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, STOP_MS);
    await Promise.race([this.#idle(), late.promise]);
    clearTimeout(timer);
    await this.#listener?.close();
    await this.#accepting;
  }

  /** Resolves when nobody is connected. */
  async #idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.race(this.#running);
  }

  async #listen(order: Extract<ChildOrder, { kind: "listen" }>): Promise<boolean> {
    if (this.#listener !== undefined) return true;
    const { addresses, keyPem, chainPem, maxConnections } = order;
    try {
      this.#listener = await this.#transport.listen({
        address: addresses,
        protocol: PAIRING_PROTOCOL,
        credentials: { keyPem, chainPem },
        trust: { kind: "judged", authorize: oneCertificate },
        limits: { maxConnections, maxStreams: 1 },
      });
    } catch (cause) {
      const code = cause instanceof TransportError ? cause.code : "INTERNAL";
      this.#report({ kind: "failed", code, message: String(cause).slice(0, 1000) });
      return false;
    }
    this.#accepting = this.#accept(this.#listener);
    const bound = this.#listener.addresses.map(({ host, port, asked }) => ({
      host,
      port,
      at: addresses.indexOf(asked),
    }));
    this.#report({ kind: "listening", addresses: bound });
    return true;
  }

  async #accept(listener: Listener): Promise<void> {
    for await (const connection of listener) {
      const id = this.#nextId++;
      const relay = new PeerRelay(id, connection, this.#report);
      if (this.#stopping) relay.stop();
      this.#peers.set(id, relay);
      const running = relay.run().finally(() => {
        this.#peers.delete(id);
        this.#running.delete(running);
      });
      this.#running.add(running);
    }
    await Promise.all(this.#running);
  }
}
