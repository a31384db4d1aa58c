import { GatewayError } from "@quaymesh/gateway";
import type { PairingDesk } from "../../../packages/gateway/src/pairing/desk.ts";
import type { OpenedWindow, WindowUpdate } from "../../../packages/gateway/src/pairing/service.ts";
import type { ModelPairing } from "../model/pairing.ts";
import type { Work } from "../plan.ts";
import type { Process } from "../process.ts";
import type { World } from "../world.ts";
import type { Given, Handed, SimJoiner } from "./joiner.ts";

/** A desk, and the process it is in. */
export interface DeskOnline {
  readonly desk: PairingDesk;
  readonly process: Process;
}

/** What {@link Operator} takes. */
export interface OperatorOptions {
  readonly world: World;
  readonly model: ModelPairing;
  readonly desk: () => DeskOnline | undefined;
  readonly joiner: SimJoiner;
  readonly work: Extract<Work, { kind: "pair" }>;
  /** Whether nobody else is about to pair this machine. */
  readonly isFree: () => boolean;
  /** Whether faults are over: then one asks for a ticket and looks at once. */
  readonly isCalm: () => boolean;
  /** The code is on a screen: whoever stands by can read it. */
  readonly onShown: (codes: readonly Handed[]) => void;
  readonly onError: (what: string, cause: unknown) => void;
}

const AGAIN_MS = 400;
const WALK_MS = 200;
/** Looks at both screens, until they say the same or it was enough. */
const LOOKS = 8;
const LOOK_AGAIN_MS = 150;
/** Windows one has patience for while everything fails. */
const MOST_WINDOWS = 4;
/** What a gateway says that somebody has to wait for. */
const PATIENCE = new Set([
  "WINDOW_LIMIT",
  "STORE_FULL",
  "GATEWAY_DRAINING",
  "REQUEST_NOT_PENDING",
  "REQUEST_NOT_FOUND",
  "DEVICE_REVOKED",
]);

/** Somebody who wants a machine paired, at the gateway's terminal, with an eye on the machine's screen. Opens windows until it is, and lets in only what shows the same words. */
export class Operator {
  readonly #options: OperatorOptions;
  #windows = 0;
  #over = false;

  constructor(options: OperatorOptions) {
    this.#options = options;
  }

  /** The machine that is meant. */
  get node(): number {
    return this.#options.work.node;
  }

  /** Whether nothing more is wanted. */
  get isDone(): boolean {
    return this.#over;
  }

  start(): void {
    void this.#run();
  }

  async #run(): Promise<void> {
    const { joiner, isCalm, work, isFree } = this.#options;
    while (!isFree()) await this.#pause(AGAIN_MS);
    for (;;) {
      if (this.#windows >= MOST_WINDOWS && !isCalm()) await this.#pause(AGAIN_MS);
      // Whoever was not to be let in is not to be let in when all is calm either.
      else if (isCalm() && work.decision !== "approve") break;
      else if (await this.#oneWindow()) break;
    }
    joiner.give(undefined);
    this.#over = true;
  }

  /** @returns whether that was it */
  async #oneWindow(): Promise<boolean> {
    const { desk, joiner, onShown, isCalm, work, model } = this.#options;
    const online = desk();
    if (online === undefined) return this.#pause(AGAIN_MS);
    const code = isCalm() ? "ticket" : work.code;
    const nodeCode = code === "node" ? await this.#readNodeCode() : undefined;
    if (code === "node" && nodeCode === undefined) return this.#pause(AGAIN_MS);
    const opened = await this.#ask(online, () =>
      online.desk.open({ name: "", labels: [], purpose: "", code, ttlMs: 30_000, ...(nodeCode && { nodeCode }) }),
    );
    if (opened === undefined) return this.#pause(AGAIN_MS);
    this.#windows += 1;
    const { windowId } = opened;
    if (nodeCode === undefined) {
      const codes = readOff(opened);
      model.windows.opened(
        windowId,
        codes.map(({ kind }) => kind),
      );
      onShown(codes);
      await this.#pause(isCalm() ? WALK_MS : work.walkMs);
      joiner.give(codes[this.#windows % codes.length]);
    } else {
      model.windows.opened(windowId, ["node"], joiner.machine.name);
      onShown([{ kind: "own", code: nodeCode }]);
    }
    if (work.decision === "cancel") this.#closeLater(online, windowId);
    const end = await this.#watch(online, windowId);
    // The certificate may still be on its way, or lost: the node says which.
    if (end === "paired") for (let at = 0; at < LOOKS && joiner.isTrying; at++) await this.#pause(LOOK_AGAIN_MS);
    const paired = !joiner.isTrying && joiner.identity !== undefined;
    if (!paired) joiner.give(undefined);
    return paired || end === "denied" || end === "revoked";
  }

  /** What the machine's own screen shows, once it shows something. */
  async #readNodeCode(): Promise<string | undefined> {
    const { joiner } = this.#options;
    if (joiner.ownCode === undefined) joiner.give({ kind: "show" });
    for (let at = 0; at < LOOKS && joiner.ownCode === undefined; at++) await this.#pause(LOOK_AGAIN_MS);
    return joiner.ownCode;
  }

  #closeLater(online: DeskOnline, windowId: string): void {
    this.#options.world.after(this.#options.work.lookMs, () => {
      void this.#ask(online, () => online.desk.close(windowId));
    });
  }

  /** Follow a window to its end, or the gateway's. */
  async #watch({ desk, process }: DeskOnline, windowId: string): Promise<"paired" | "denied" | "revoked" | "over"> {
    const died = deathOf(process);
    const updates = desk.watch(windowId)[Symbol.asyncIterator]();
    let decided = "";
    let end: "paired" | "denied" | "over" = "over";
    try {
      for (;;) {
        const next = await Promise.race([updates.next(), died]);
        if (next === undefined || next.done === true) break;
        const { value } = next;
        if (value.state === "issued" || value.state === "active") end = "paired";
        if (value.state === "denied" && this.#options.work.decision === "deny") end = "denied";
        if (value.state === "pending" && value.request !== undefined && value.request.requestId !== decided) {
          decided = value.request.requestId;
          await this.#decide({ desk, process }, value);
        }
        if (value.state === "issued") break;
      }
    } catch (cause) {
      told("watching a window", cause, this.#options.onError);
    }
    return this.#options.joiner.refusal === "DEVICE_REVOKED" ? "revoked" : end;
  }

  async #decide(online: DeskOnline, { request }: WindowUpdate): Promise<void> {
    const { work, isCalm, joiner, model } = this.#options;
    const isLeftAlone = work.decision === "never" || work.decision === "cancel";
    if (request === undefined || (isLeftAlone && !isCalm())) return;
    await this.#pause(isCalm() ? WALK_MS : work.lookMs);
    const { requestId } = request;
    let same = false;
    for (let at = 0; at < LOOKS && !same; at++) {
      await this.#pause(LOOK_AGAIN_MS);
      const views = await this.#ask(online, () => online.desk.requests());
      const words = views?.find((view) => view.requestId === requestId)?.words.join(" ");
      same = words !== undefined && joiner.screen?.words.join(" ") === words;
    }
    if (same && work.decision === "approve") {
      model.decided(requestId, "approve");
      await Promise.all([this.#ask(online, () => online.desk.approve(requestId)), this.#second(online, requestId)]);
    } else {
      await this.#ask(online, () => online.desk.deny(requestId));
      model.decided(requestId, "deny");
    }
  }

  /** Somebody at another terminal has seen the same words, or other ones. */
  async #second(online: DeskOnline, requestId: string): Promise<void> {
    const { decision, afterMs } = this.#options.work.second ?? { decision: "approve", afterMs: 0 };
    if (afterMs > 0) await this.#pause(afterMs);
    const denied = await this.#ask(online, () => online.desk[decision](requestId));
    if (decision === "deny" && denied !== undefined) this.#options.model.decided(requestId, "deny");
  }

  #ask<T>(online: DeskOnline, call: () => Promise<T>): Promise<T | undefined> {
    return askGateway(online, call, this.#options.onError);
  }

  #pause(ms: number): Promise<false> {
    return new Promise((resolve) => {
      this.#options.world.after(ms, () => resolve(false));
    });
  }
}

/** What the gateway answers; nothing, where it dies or says no. */
export async function askGateway<T>(
  { process }: DeskOnline,
  call: () => Promise<T>,
  onError: OperatorOptions["onError"],
): Promise<T | undefined> {
  if (!process.alive) return undefined;
  try {
    return await Promise.race([call(), deathOf(process)]);
  } catch (cause) {
    told("asking the gateway", cause, onError);
    return undefined;
  }
}

function told(what: string, cause: unknown, onError: OperatorOptions["onError"]): void {
  const isForeseen = cause instanceof GatewayError && PATIENCE.has(cause.code);
  if (!isForeseen) onError(what, cause);
}

/** Nobody hears of it but who waits for an answer that will not come. */
function deathOf(process: Process): Promise<undefined> {
  if (!process.alive) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    process.onDeath(() => resolve(undefined));
  });
}

/** The codes on the gateway's screen. */
export function readOff({ link, pin }: OpenedWindow): readonly Given[] {
  return [
    ...(link === undefined ? [] : [{ kind: "ticket" as const, link: link.reveal() }]),
    ...(pin === undefined ? [] : [{ kind: "pin" as const, pin: pin.reveal() }]),
  ];
}
