import {
  certificatesToPem,
  IdentityError,
  meshNameOf,
  nodePairingDeadline,
  startNodePairing,
  stepNode,
  verifyIssuedChain,
  type KeyPair,
  type NodePairing,
  type NodePairingEffect,
  type NodePairingInput,
  type NodePairingSetup,
  type NodePairingStep,
} from "@quaymesh/identity";
import {
  MessageStream,
  parsePairToNode,
  RemoteError,
  TransportError,
  type PairIssued,
  type PairToNode,
} from "@quaymesh/protocol";
import { abortable } from "../bell.ts";
import type { Clock } from "../clock.ts";
import { NodeError } from "../errors.ts";
import { failureOf } from "../link/failure.ts";
import { endpointsOf, parseAddress, resolveUnspecified } from "../state/address.ts";
import type { NodeIdentity } from "../state/identity-file.ts";
import type { PairingLink } from "./dial.ts";
import { pairingError } from "./errors.ts";
import type { JoinStep } from "./options.ts";

/** An issued chain of three certificates and its addresses, with room. */
const MAX_ANSWER_BYTES = 16_384;
/** From `done` to hanging up. A `done` that is lost does no harm: the first session says the same. */
const GOODBYE_MS = 250;

/** What {@link runPairing} works with. */
export interface PairingRun {
  readonly link: PairingLink;
  readonly key: KeyPair;
  /** Keep the identity durably. */
  readonly store: (identity: NodeIdentity) => Promise<void>;
  readonly clock: Clock;
  readonly setup: NodePairingSetup;
  /** In place of identity's machine: a simulation watches it so. */
  readonly step?: typeof stepNode;
  readonly onStep?: (step: JoinStep) => void;
  /** What to tell of an attempt that ended while the gateway had the node's proof and had given none of its own. */
  readonly judgeUnproved: (error: NodeError) => Promise<NodeError>;
  readonly signal?: AbortSignal;
}

/** What came of it. */
export interface Paired {
  readonly identity: NodeIdentity;
  readonly words: readonly string[];
}

/**
 * Perform what identity's machine asks for, on one stream.
 * @throws {NodeError} as `join`; rethrows `signal.reason`
 */
export async function runPairing(run: PairingRun): Promise<Paired> {
  const stream = new MessageStream(await run.link.connection.openStream(), { maxFrameBytes: MAX_ANSWER_BYTES });
  const shell = new PairingShell(run, stream);
  try {
    return await shell.run();
  } catch (cause) {
    stream.reset(0);
    run.signal?.throwIfAborted();
    const error = cause instanceof NodeError ? cause : failureOf(cause, run.link.address).error;
    throw shell.awaited === "awaiting-proof" ? await run.judgeUnproved(error) : error;
  }
}

class PairingShell {
  readonly #run: PairingRun;
  readonly #stream: MessageStream;
  /** Where the attempt stood when it last waited for the gateway. */
  awaited: NodePairing["kind"] | undefined;
  #state: NodePairing | undefined;
  #words: readonly string[] = [];
  #identity: NodeIdentity | undefined;
  readonly #machine: typeof stepNode;
  #cause: unknown;

  constructor(run: PairingRun, stream: MessageStream) {
    this.#run = run;
    this.#machine = run.step ?? stepNode;
    this.#stream = stream;
  }

  async run(): Promise<Paired> {
    await this.#perform(startNodePairing(this.#run.setup));
    let reading: Promise<PairToNode | null> | undefined;
    while (this.#state !== undefined && this.#state.kind !== "paired") {
      reading ??= this.#stream.receive(parsePairToNode);
      this.awaited = this.#state.kind;
      const input = await this.#next(reading);
      if (input.kind !== "tick") reading = undefined;
      await this.#perform(this.#machine(this.#state, input));
    }
    await this.#sayGoodbye();
    if (this.#identity === undefined) throw new NodeError("PAIR_FAILED", "pairing ended without an identity");
    return { identity: this.#identity, words: this.#words };
  }

  async #next(reading: Promise<PairToNode | null>): Promise<NodePairingInput> {
    const { clock, signal } = this.#run;
    const timer = new AbortController();
    const deadline = this.#state === undefined ? undefined : nodePairingDeadline(this.#state);
    const waits: Promise<NodePairingInput>[] = [this.#read(reading)];
    if (deadline !== undefined) waits.push(this.#tick(Math.max(0, deadline - clock.now()), timer.signal));
    try {
      return await abortable(Promise.race(waits), signal);
    } finally {
      timer.abort();
    }
  }

  async #read(reading: Promise<PairToNode | null>): Promise<NodePairingInput> {
    const { clock } = this.#run;
    try {
      const message = await reading;
      return message === null ? { kind: "gone" } : { kind: "message", now: clock.now(), message };
    } catch (cause) {
      if (cause instanceof RemoteError) {
        const { code, message, retryAfterMs } = cause;
        return { kind: "error", code, message, ...(retryAfterMs !== undefined && { retryAfterMs }) };
      }
      this.#cause = cause;
      // How the connection ended says more than that it did: full, closed, not a pairing endpoint.
      if (cause instanceof TransportError && cause.close !== undefined) throw cause;
      return { kind: "gone" };
    }
  }

  async #tick(ms: number, signal: AbortSignal): Promise<NodePairingInput> {
    await this.#run.clock.sleep(ms, signal).catch(() => {});
    return { kind: "tick", now: this.#run.clock.now() };
  }

  async #perform(step: NodePairingStep): Promise<void> {
    this.#state = step.state;
    for (const effect of step.effects) await this.#act(effect);
  }

  async #act(effect: NodePairingEffect): Promise<void> {
    const { onStep } = this.#run;
    switch (effect.kind) {
      case "send":
        if ("type" in effect.message && effect.message.type === "done") await this.#stream.end(effect.message);
        else await this.#stream.send(effect.message);
        return;
      case "pin":
        // The root is stored together with the certificate that hangs from it: half of an identity helps nobody.
        return;
      case "show-words":
        this.#words = effect.words;
        if (this.#state?.kind === "awaiting-approval") {
          const mesh = meshNameOf(this.#run.link.chain.root);
          onStep?.({ kind: "proved", mesh, words: effect.words, requestId: this.#state.requestId });
        }
        return;
      case "store":
        return this.#store(effect.issued);
      case "paired":
        return;
      case "failed":
        throw pairingError(effect, this.#cause);
      default:
        return effect satisfies never;
    }
  }

  async #store(issued: PairIssued): Promise<void> {
    const { store, onStep } = this.#run;
    try {
      const identity = this.#identityOf(issued);
      onStep?.({ kind: "issued", deviceId: identity.deviceId, notAfter: identity.notAfter });
      await store(identity);
      this.#identity = identity;
      onStep?.({ kind: "stored" });
    } catch (cause) {
      this.#cause = cause;
      const code = cause instanceof NodeError || cause instanceof IdentityError ? cause.code : "PAIR_FAILED";
      const message = cause instanceof Error ? cause.message : "the certificate could not be stored";
      if (this.#state !== undefined)
        await this.#perform(this.#machine(this.#state, { kind: "store-failed", code, message }));
      return;
    }
    if (this.#state !== undefined) await this.#perform(this.#machine(this.#state, { kind: "stored" }));
  }

  #identityOf(issued: PairIssued): NodeIdentity {
    const { link, key, clock } = this.#run;
    const { meshId, root } = link.chain;
    const leaf = verifyIssuedChain({
      chain: issued.chain,
      roots: [root],
      meshId,
      deviceId: issued.deviceId,
      spkiSha256: key.spkiSha256,
      now: clock.now(),
    });
    const addresses = issued.addresses.map((text) => {
      const address = parseAddress(text);
      if (address === undefined)
        throw new NodeError("PAIR_PROTOCOL", `the gateway gave an address that is none: ${text}`);
      return resolveUnspecified(address, link.address.host);
    });
    const told = endpointsOf(issued.pairing ?? [], link.address.host);
    return {
      deviceId: issued.deviceId,
      meshId,
      mesh: meshNameOf(root),
      addresses,
      // The one that answered is good as long as the gateway names no other.
      pairingAddresses: told.length > 0 ? told : [link.address],
      chainPem: certificatesToPem(issued.chain),
      rootPem: certificatesToPem([root]),
      renewAfter: issued.renewAfter,
      notAfter: leaf.notAfter,
    };
  }

  /** Closing at once could overtake `done`. */
  async #sayGoodbye(): Promise<void> {
    const timer = new AbortController();
    await Promise.race([
      this.#stream.receive(parsePairToNode).catch(() => null),
      this.#run.link.connection.closed,
      this.#run.clock.sleep(GOODBYE_MS, timer.signal).catch(() => {}),
    ]);
    timer.abort();
  }
}
