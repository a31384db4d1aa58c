import { drawNodeEntropy, parseTicket, Secret, type NodeCode, type stepNode } from "@quaymesh/identity";
import { NodeError } from "@quaymesh/node";
import { dialPairing, targetOf, type PairingLink } from "../../../packages/node/src/pairing/dial.ts";
import { renewLate } from "../../../packages/node/src/pairing/late-renewal.ts";
import { joinShown } from "../../../packages/node/src/pairing/join-shown.ts";
import type { JoinInvitation, JoinResult } from "../../../packages/node/src/pairing/options.ts";
import { runPairing } from "../../../packages/node/src/pairing/run-pairing.ts";
import type { NodeIdentity } from "../../../packages/node/src/state/identity-file.ts";
import type { SimDisk } from "../disk.ts";
import type { Inhabitant } from "../faults.ts";
import type { SimNetwork } from "../net/network.ts";
import { Process, type Machine } from "../process.ts";
import type { World } from "../world.ts";
import { PAIRING_ADDRESS } from "./endpoint.ts";
import type { Holder } from "./materials.ts";

/** What a person has in hand, or reads off the node's own screen. */
export type Handed = Given | { readonly kind: "own"; readonly code: string };

/** What can be typed in. */
export type Given = { readonly kind: "ticket"; readonly link: string } | { readonly kind: "pin"; readonly pin: string };

/** What a machine is to do: take a code, or show one of its own until somebody has scanned it. */
export type Task = Given | { readonly kind: "show" };

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
  readonly disk: Pick<SimDisk, "full">;
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
/** After these there is no point in asking for another certificate again. */
const REFUSALS = new Set(["RENEW_TOO_LATE", "DEVICE_REVOKED", "DEVICE_UNKNOWN"]);
/** Why it stops to show its code. */
const TAKEN_BACK = new Error("somebody wants something else of it");

/** A machine that is to be paired. Shell, dialing and machine are the real ones; only `join`'s files are played: what it stored outlives its processes. */
export class SimJoiner implements Inhabitant {
  readonly #options: SimJoinerOptions;
  #process: Process | undefined;
  #task: Task | undefined;
  #leaving = new AbortController();
  #identity: NodeIdentity | undefined;
  #screen: Screen | undefined;
  #ownCode: string | undefined;
  #refusal: string | undefined;
  #renewal: "none" | "wanted" | "granted" | "refused" = "none";

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

  /** The code it shows itself. */
  get ownCode(): string | undefined {
    return this.isDown ? undefined : this.#ownCode;
  }

  /** Whether it still tries what it was given. */
  get isTrying(): boolean {
    return this.#task !== undefined;
  }

  /** Whether it still tries this. */
  isTryingWith(task: Task): boolean {
    return this.#task === task;
  }

  /** What came of its wish for another certificate. */
  get renewal(): "none" | "wanted" | "granted" | "refused" {
    return this.#renewal;
  }

  /** A person types a code in, or has it show its own; and again after a restart. */
  give(task: Task | undefined): void {
    this.#task = task;
    this.#refusal = undefined;
    this.#ownCode = undefined;
    this.#leaving.abort(TAKEN_BACK);
    this.#leaving = new AbortController();
  }

  /** Once it has nothing else to do: its certificate has run out, as it sees it. */
  renew(): void {
    this.#renewal = "wanted";
  }

  start(): void {
    const { world, machine } = this.#options;
    this.#process?.kill();
    const process = new Process(world(), machine);
    this.#process = process;
    this.#screen = undefined;
    this.#ownCode = undefined;
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
      const task = this.#task;
      const identity = this.#identity;
      if (task !== undefined) {
        await this.#try(process, task, () => (task.kind === "show" ? this.#show(process) : this.#join(process, task)));
      } else if (identity !== undefined && this.#renewal === "wanted") {
        await this.#try(process, undefined, () => this.#renew(process, identity));
      }
      await process.later(LOOK_MS, () => undefined);
    }
  }

  async #try(process: Process, task: Task | undefined, act: () => Promise<unknown>): Promise<void> {
    try {
      await act();
      if (this.#task === task) this.#task = undefined;
    } catch (cause) {
      if (!process.alive || cause === TAKEN_BACK) return;
      const code = cause instanceof NodeError ? cause.code : "none";
      this.#options.onFailed(code, cause);
      if (this.#task === task) this.#refusal = code;
      if (task === undefined && REFUSALS.has(code)) this.#renewal = "refused";
      const waitMs = cause instanceof NodeError ? (cause.retryAfterMs ?? 0) : 0;
      const until = process.world.now + Math.max(waitMs, AGAIN_MS);
      // Whoever is given another code need not wait for the sake of the last one.
      while (process.world.now < until && this.#task === task) await process.later(LOOK_MS, () => undefined);
    } finally {
      this.#screen = undefined;
    }
  }

  async #join(process: Process, given: Given): Promise<void> {
    const invitation = invitationOf(given);
    const code: NodeCode =
      invitation.kind === "pin"
        ? invitation
        : { kind: "ticket", codeId: invitation.ticket.codeId, secret: invitation.ticket.secret };
    await this.#attempt(process, invitation, code);
  }

  async #show(process: Process): Promise<void> {
    const { holder, onFailed } = this.#options;
    const { signal } = this.#leaving;
    const { key } = await holder();
    await joinShown({
      key,
      clock: process.nodeClock,
      signal,
      attempt: (code) => this.#attempt(process, { kind: "own", addresses: [PAIRING_ADDRESS] }, code),
      onStep: (step) => {
        if (step.kind === "showing") this.#ownCode = step.code;
        if (step.kind === "waiting") onFailed(step.why, step.message);
      },
    });
  }

  async #attempt(process: Process, invitation: JoinInvitation, code: NodeCode): Promise<JoinResult> {
    const { network, holder, blind, step, onWords, onStored } = this.#options;
    const { key, credentials, csr } = await holder();
    const clock = process.nodeClock;
    const transport = network().transport(process);
    const target = targetOf(invitation, this.#identity);
    const link = await dialPairing({ transport, target, credentials, now: clock.now() });
    try {
      const { connection, chain } = link;
      const channel = { meshId: chain.meshId, nodeSpkiSha256: key.spkiSha256, gatewaySpkiSha256: chain.spkiSha256 };
      const { identity, words } = await runPairing({
        link,
        key,
        clock,
        step,
        store: (identity) => this.#store(process, identity, onStored),
        setup: {
          code,
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
      const { deviceId, meshId, mesh, addresses, notAfter } = identity;
      return { deviceId, meshId, mesh, addresses, rootFingerprint: "", words, notAfter };
    } finally {
      this.#screen = undefined;
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
          this.#renewal = "granted";
          return renewed;
        },
      },
    });
  }

  #store(process: Process, identity: NodeIdentity, onStored: (identity: NodeIdentity) => void): Promise<void> {
    return process.later(process.machine.random.next() * STORE_MS, () => {
      if (this.#options.disk.full) throw new NodeError("STATE_UNREADABLE", "the disk is full");
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
export function invitationOf(handed: Given): Exclude<JoinInvitation, { readonly kind: "own" }> {
  if (handed.kind === "pin") return { kind: "pin", address: PAIRING_ADDRESS, pin: new Secret(handed.pin) };
  return { kind: "ticket", ticket: parseTicket(handed.link, { now: 0 }) };
}

function hangUp({ connection }: PairingLink): void {
  connection.close(0);
}
