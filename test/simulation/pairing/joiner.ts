import { drawNodeEntropy, parseTicket, Secret, type stepNode } from "@quaymesh/identity";
import { NodeError } from "@quaymesh/node";
import { dialPairing, targetOf, type PairingLink } from "../../../packages/node/src/pairing/dial.ts";
import { renewLate } from "../../../packages/node/src/pairing/late-renewal.ts";
import type { JoinInvitation } from "../../../packages/node/src/pairing/options.ts";
import { runPairing } from "../../../packages/node/src/pairing/run-pairing.ts";
import type { NodeIdentity } from "../../../packages/node/src/state/identity-file.ts";
import type { Inhabitant } from "../faults.ts";
import type { SimNetwork } from "../net/network.ts";
import { Process, type Machine } from "../process.ts";
import type { World } from "../world.ts";
import { PAIRING_ADDRESS } from "./endpoint.ts";
import type { Holder } from "./materials.ts";

/** What a person has in hand. */
export type Handed =
  | { readonly kind: "ticket"; readonly link: string }
  | { readonly kind: "pin"; readonly pin: string };

/** What a node's screen says. */
export interface Screen {
  readonly words: readonly string[];
  /** Of the connection, at this end: `host:port`. */
  readonly peer: string;
}

/** What {@link SimJoiner} takes. */
export interface SimJoinerOptions {
  readonly world: () => World;
  readonly network: () => SimNetwork;
  readonly machine: Machine;
  readonly holder: () => Promise<Holder>;
  readonly step: typeof stepNode;
  /** In place of what TLS showed, where that is to be left out of the proof. */
  readonly blind: boolean;
  /** The gateway's root is on the other end, and no other. */
  readonly onWords: (screen: Screen) => void;
  readonly onStored: (identity: NodeIdentity) => void;
  readonly onFailed: (code: string, cause: unknown) => void;
}

const AGAIN_MS = 700;
const LOOK_MS = 250;
/** A disk takes so long, at most. */
const STORE_MS = 6;

/** A machine that is to be paired. Shell, dialing and machine are the real ones; only `join`'s files are played: what it stored outlives its processes. */
export class SimJoiner implements Inhabitant {
  readonly #options: SimJoinerOptions;
  #process: Process | undefined;
  #handed: Handed | undefined;
  #identity: NodeIdentity | undefined;
  #screen: Screen | undefined;
  #refusal: string | undefined;
  #wantsRenewal = false;

  constructor(options: SimJoinerOptions) {
    this.#options = options;
  }

  get isDown(): boolean {
    return this.#process?.alive !== true;
  }

  get machine(): Machine {
    return this.#options.machine;
  }

  /** What is on its disk. */
  get identity(): NodeIdentity | undefined {
    return this.#identity;
  }

  get screen(): Screen | undefined {
    return this.isDown ? undefined : this.#screen;
  }

  /** With which code it was refused last, since it was given something. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  /** Whether it still tries what it was given. */
  get isTrying(): boolean {
    return this.#handed !== undefined;
  }

  /** A person types the code in, and again after a restart. */
  give(handed: Handed | undefined): void {
    this.#handed = handed;
    this.#refusal = undefined;
  }

  /** Its certificate has run out, as it sees it. */
  renew(): void {
    this.#wantsRenewal = this.#identity !== undefined;
  }

  start(): void {
    const { world, machine } = this.#options;
    this.#process?.kill();
    const process = new Process(world(), machine);
    this.#process = process;
    this.#screen = undefined;
    void this.#run(process);
  }

  crash(): void {
    this.#process?.kill();
    this.#screen = undefined;
  }

  /** There is nobody to say goodbye to. */
  stop(): Promise<void> | undefined {
    if (this.isDown) return undefined;
    this.crash();
    return Promise.resolve();
  }

  async #run(process: Process): Promise<void> {
    while (process.alive) {
      const handed = this.#handed;
      const identity = this.#identity;
      if (handed !== undefined) {
        await this.#try(process, handed, () => this.#join(process, handed));
      } else if (identity !== undefined && this.#wantsRenewal) {
        await this.#try(process, undefined, () => this.#renew(process, identity));
        this.#wantsRenewal = false;
      }
      await process.later(LOOK_MS, () => undefined);
    }
  }

  async #try(process: Process, handed: Handed | undefined, act: () => Promise<void>): Promise<void> {
    try {
      await act();
      if (this.#handed === handed) this.#handed = undefined;
    } catch (cause) {
      if (!process.alive) return;
      const code = cause instanceof NodeError ? cause.code : "none";
      this.#options.onFailed(code, cause);
      if (this.#handed === handed) this.#refusal = code;
      const waitMs = cause instanceof NodeError ? (cause.retryAfterMs ?? 0) : 0;
      const until = process.world.now + Math.max(waitMs, AGAIN_MS);
      // Whoever is given another code need not wait for the sake of the last one.
      while (process.world.now < until && this.#handed === handed) await process.later(LOOK_MS, () => undefined);
    } finally {
      this.#screen = undefined;
    }
  }

  async #join(process: Process, handed: Handed): Promise<void> {
    const { network, holder, blind, step, onWords, onStored } = this.#options;
    const { key, credentials, csr } = await holder();
    const clock = process.nodeClock;
    const invitation = invitationOf(handed);
    const transport = network().transport(process);
    const target = targetOf(invitation, this.#identity);
    const link = await dialPairing({ transport, target, credentials, now: clock.now() });
    try {
      const { connection, chain } = link;
      const channel = { meshId: chain.meshId, nodeSpkiSha256: key.spkiSha256, gatewaySpkiSha256: chain.spkiSha256 };
      await runPairing({
        link,
        key,
        clock,
        step,
        store: (identity) => this.#store(process, identity, onStored),
        setup: {
          code:
            invitation.kind === "pin"
              ? invitation
              : { kind: "ticket", codeId: invitation.ticket.codeId, secret: invitation.ticket.secret },
          channel: blind ? BLIND : channel,
          root: chain.root,
          name: process.machine.name,
          platform: { os: "sim", arch: "sim" },
          csr,
          ...drawNodeEntropy(),
          now: clock.now(),
        },
        // What several attempts add up to is kept in a file, which is not played.
        judgeUnproved: async (error) => error,
        onStep: (at) => {
          if (at.kind !== "proved") return;
          const { host, port } = connection.stats().localAddress;
          this.#screen = { words: at.words, peer: `${host}:${String(port)}` };
          onWords(this.#screen);
        },
      });
    } finally {
      hangUp(link);
    }
  }

  async #renew(process: Process, identity: NodeIdentity): Promise<void> {
    const { network, holder, onStored } = this.#options;
    const { key } = await holder();
    await renewLate({
      transport: network().transport(process),
      key,
      clock: process.nodeClock,
      keeper: {
        current: { ...identity, pairingAddresses: [PAIRING_ADDRESS] },
        update: async (change) => {
          const renewed = change(identity);
          await this.#store(process, renewed, onStored);
          return renewed;
        },
      },
    });
  }

  #store(process: Process, identity: NodeIdentity, onStored: (identity: NodeIdentity) => void): Promise<void> {
    return process.later(process.machine.random.next() * STORE_MS, () => {
      this.#identity = identity;
      onStored(identity);
    });
  }
}

/** A channel identifier that names nobody. */
export const BLIND = {
  meshId: "nobodynobodynobo",
  nodeSpkiSha256: new Uint8Array(32),
  gatewaySpkiSha256: new Uint8Array(32),
} as const;

/** As a person would type it. @throws {IdentityError} */
export function invitationOf(handed: Handed): Exclude<JoinInvitation, { readonly kind: "own" }> {
  if (handed.kind === "pin") return { kind: "pin", address: PAIRING_ADDRESS, pin: new Secret(handed.pin) };
  return { kind: "ticket", ticket: parseTicket(handed.link, { now: 0 }) };
}

function hangUp({ connection }: PairingLink): void {
  connection.close(0);
}
