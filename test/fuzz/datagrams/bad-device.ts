/** The device that turned bad, over a whole run: what it did, and whether that blocked the gateway. */
import type { Rig, Device } from "../../floods/rig/rig.ts";
import { MAX_BLOCK_MS } from "../judge.ts";
import { Random } from "../random.ts";
import type { Finding } from "../target.ts";
import { misbehave } from "./hostile-peer.ts";

/** A collection of garbage, or code that is compiled, does not come three times in a row at the same deeds. */
const CONFIRMATIONS = 2;
/** A machine that stands still keeps it out once, or twice. */
const MAX_SHUT_OUT = 3;

/** See the top of the file. */
export class BadDevice {
  readonly #rig: Rig;
  readonly #device: Device;
  readonly #frames: readonly Uint8Array[];
  #shutOutInARow = 0;
  #deeds = 0;
  #visits = 0;
  #longestTurnMs = 0;

  constructor(rig: Rig, device: Device, frames: readonly Uint8Array[]) {
    this.#rig = rig;
    this.#device = device;
    this.#frames = frames;
  }

  /** What it did so far. `longestTurnMs`: the longest turn of the gateway's that any of it began, in CPU time. */
  get figures(): { readonly deeds: number; readonly visits: number; readonly longestDeedTurnMs: number } {
    return { deeds: this.#deeds, visits: this.#visits, longestDeedTurnMs: Math.round(this.#longestTurnMs) };
  }

  /**
   * Connect and misbehave once, and again in the same way where the gateway was blocked by it.
   * @param settled waits until the gateway is through with what it got @returns what to repair
   */
  async visit(random: Random, settled: () => Promise<void>): Promise<Finding | undefined> {
    const seed = random.below(2 ** 32);
    // What came before is not its doing.
    await this.#rig.sample();
    let leastMs = Infinity;
    for (let tries = 0; tries <= CONFIRMATIONS; tries += 1) {
      const failure = await this.#misbehave(new Random(seed));
      if (failure !== undefined) return failure;
      await settled();
      const turnMs = (await this.#rig.sample())?.longestTurnMs ?? 0;
      this.#longestTurnMs = Math.max(this.#longestTurnMs, turnMs);
      leastMs = Math.min(leastMs, turnMs);
      if (leastMs <= MAX_BLOCK_MS) return undefined;
    }
    return {
      kind: "slow",
      message: `a bad device blocks the gateway for ${leastMs.toFixed(0)} ms of CPU in one turn, again and again; its seed is ${String(seed)}`,
    };
  }

  async #misbehave(random: Random): Promise<Finding | undefined> {
    let failure = "its handshake does not end";
    try {
      const deeds = await misbehave(this.#device, this.#rig.port, random, this.#frames);
      if (deeds > 0) {
        this.#deeds += deeds;
        this.#visits += 1;
        this.#shutOutInARow = 0;
        return undefined;
      }
    } catch (error) {
      failure = error instanceof Error ? error.message : String(error);
    }
    this.#shutOutInARow += 1;
    if (this.#shutOutInARow < MAX_SHUT_OUT) return undefined;
    return {
      kind: "disturbed",
      message: `the bad device gets in no more, so nothing of what it does is tried: ${failure}`,
    };
  }
}
