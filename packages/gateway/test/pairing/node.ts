import {
  createCsr,
  drawNodeEntropy,
  KeyPair,
  meshIdOf,
  parseTicket,
  startNodePairing,
  stepNode,
  type NodeCode,
  type NodePairing,
  type NodePairingEffect,
  type NodePairingInput,
} from "@quaymesh/identity";
import { encodeFrame, MessageStream, parsePairToNode, RemoteError, type SocketAddress } from "@quaymesh/protocol";
import { spkiOf, tcpTransport } from "./tcp-transport.ts";

/** A node that pairs, driven by identity's own node machine. */
export class TestNode implements AsyncDisposable {
  readonly effects: NodePairingEffect[] = [];
  /** Messages from the gateway. */
  heard = 0;
  #silent = false;
  /** Does not hear that it got a certificate: the answer is lost. */
  #deaf = false;
  readonly #stream: MessageStream;
  readonly #close: () => Promise<void>;
  #state: NodePairing;
  #wake = Promise.withResolvers<void>();

  private constructor(stream: MessageStream, close: () => Promise<void>, state: NodePairing) {
    this.#stream = stream;
    this.#close = close;
    this.#state = state;
  }

  static async dial(
    address: SocketAddress,
    code: NodeCode,
    options: {
      readonly keyPair?: KeyPair;
      readonly name?: string;
      readonly silent?: boolean;
      readonly deaf?: boolean;
    } = {},
  ): Promise<TestNode> {
    const keyPair = options.keyPair ?? (await KeyPair.generate());
    const connection = await tcpTransport(keyPair.spkiSha256).dial(address, {
      protocol: "quaymesh-pair/1",
      serverName: "",
      credentials: { keyPem: "", chainPem: "" },
      trust: { kind: "judged", authorize: () => ({ kind: "accept" }) },
    });
    const { chain, spkiSha256: gatewaySpkiSha256 } = connection.peer;
    const root = chain.at(-1) ?? new Uint8Array();
    const meshId = meshIdOf(spkiOf(root));
    const { state, effects } = startNodePairing({
      code,
      channel: { meshId, nodeSpkiSha256: keyPair.spkiSha256, gatewaySpkiSha256 },
      root,
      name: options.name ?? "own-name",
      platform: { os: "linux", arch: "x64" },
      csr: await createCsr(keyPair),
      ...drawNodeEntropy(),
      now: Date.now(),
    });
    const close = async () => {
      await connection[Symbol.asyncDispose]();
    };
    const node = new TestNode(new MessageStream(await connection.openStream()), close, state);
    node.#run(effects);
    node.#silent = options.silent ?? false;
    node.#deaf = options.deaf ?? false;
    void node.#read();
    return node;
  }

  /** Resolves once an effect of this kind was given; with the first one. */
  async until<K extends NodePairingEffect["kind"]>(kind: K): Promise<Extract<NodePairingEffect, { kind: K }>> {
    for (;;) {
      const found = this.effects.find((effect) => effect.kind === kind);
      if (found !== undefined) return found as Extract<NodePairingEffect, { kind: K }>;
      const failed = this.effects.find((effect) => effect.kind === "failed");
      if (failed !== undefined) throw new Error(`pairing failed: ${failed.code}`);
      await this.#wake.promise;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }

  async #read(): Promise<void> {
    try {
      for await (const message of this.#stream.messages(parsePairToNode)) {
        this.heard += 1;
        if (this.#deaf && message.type === "issued") continue;
        if (!this.#silent) this.#step({ kind: "message", now: Date.now(), message });
      }
      this.#step({ kind: "gone" });
    } catch (cause) {
      if (!(cause instanceof RemoteError)) return this.#step({ kind: "gone" });
      const { code, message, retryAfterMs } = cause;
      this.#step({ kind: "error", code, message, retryAfterMs });
    }
  }

  #step(input: NodePairingInput): void {
    const { state, effects } = stepNode(this.#state, input);
    this.#state = state;
    this.#run(effects);
  }

  #run(effects: readonly NodePairingEffect[]): void {
    for (const effect of effects) {
      this.effects.push(effect);
      if (effect.kind === "send") void this.#stream.sendFrame(encodeFrame(effect.message));
      if (effect.kind === "store") queueMicrotask(() => this.#step({ kind: "stored" }));
    }
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }
}

/** The code and the address in a window's ticket. */
export function ticketOf(link: string): {
  readonly code: Extract<NodeCode, { kind: "ticket" }>;
  readonly address: SocketAddress;
} {
  const { secret, codeId, addresses } = parseTicket(link, { now: Date.now() });
  const [address] = addresses;
  if (address === undefined) throw new Error("a ticket without an address");
  return { code: { kind: "ticket", codeId, secret }, address };
}

/** The states of a window so far and to come, as they come. */
export class Follower<Update extends { readonly state: string; readonly reason: string }> {
  readonly updates: Update[] = [];
  readonly done: Promise<void>;
  #wake = Promise.withResolvers<void>();

  constructor(updates: AsyncIterable<Update>) {
    this.done = (async () => {
      for await (const update of updates) {
        this.updates.push(update);
        this.#wake.resolve();
        this.#wake = Promise.withResolvers<void>();
      }
    })();
  }

  get states(): readonly string[] {
    return this.updates.map(({ state, reason }) => (reason === "" ? state : `${state} ${reason}`));
  }

  async until(state: Update["state"]): Promise<Update> {
    for (;;) {
      const found = this.updates.find((update) => update.state === state);
      if (found !== undefined) return found;
      await this.#wake.promise;
    }
  }
}
