import type { NodeCode } from "@quaymesh/identity";
import type { Work } from "../plan.ts";
import { Process, type Machine } from "../process.ts";
import type { Stage } from "../stage.ts";
import { PAIRING_ADDRESS } from "./endpoint.ts";
import type { Handed } from "./joiner.ts";
import type { Materials } from "./materials.ts";
import { guessAt, rightCodes, sitBetween, tryCode, type StrangerParts } from "./stranger.ts";

const FIRST_MIDDLE_PORT = 9000;

/** Everybody who comes unasked, each on a machine of their own. */
export class Strangers {
  readonly #stage: Stage;
  readonly #materials: () => Materials;
  /** What was last shown for a machine: whoever stands by can read it. */
  readonly #shown = new Map<number, readonly Handed[]>();
  readonly #machines = new Map<string, Machine>();
  #middles = 0;

  constructor(stage: Stage, materials: () => Materials) {
    this.#stage = stage;
    this.#materials = materials;
  }

  /** These are on a screen, for this machine. */
  see(node: number, codes: readonly Handed[]): void {
    this.#shown.set(node, codes);
  }

  /** Guess at what was shown for the machine. */
  guess({ node, stranger, code, times, everyMs, manner }: Extract<Work, { kind: "guess" }>): void {
    const process = this.#at(`guesser-${String(stranger)}`);
    for (let at = 0; at < times; at++) {
      process.after(at * everyMs, () => {
        void this.#act(process, (parts) => tryCode(parts, guessAt(this.#shown.get(node) ?? [], code), manner));
      });
    }
  }

  /** Try what was shown. Of several codes the last: the machine has been given the first. */
  steal({ node, manner }: Extract<Work, { kind: "thief" }>): void {
    const code = this.#codesFor(node).at(-1);
    if (code === undefined) return;
    void this.#act(this.#at(`thief-${String(node)}`), (parts) => tryCode(parts, code, manner));
  }

  /** Answer in the gateway's place, to that machine. */
  sitBetween({ node, forMs, style }: Extract<Work, { kind: "middle" }>, victim: Machine): void {
    const nth = this.#middles++;
    const port = FIRST_MIDDLE_PORT + nth;
    const process = this.#at(`${style === "relay" ? "relay" : "middle"}-${String(port)}`);
    const shown = this.#shown.get(node) ?? [];
    const guessed = guessAt(shown, shown[0]?.kind === "ticket" ? "ticket" : "pin");
    const code = style === "knows" || style === "babbles" ? (this.#codesFor(node)[0] ?? guessed) : guessed;
    const { network } = this.#stage;
    network.divert(victim.name, new Map([[PAIRING_ADDRESS.port, port]]));
    process.after(forMs, () => {
      network.divert(victim.name, undefined);
      process.kill();
    });
    const { stranger, endpointLeaf } = this.#materials();
    void this.#act(process, async (parts) => {
      // Who plays the gateway to the node plays a node to the gateway.
      if (style !== "relay") void tryCode(parts, code).catch(() => undefined);
      await sitBetween({
        ...parts,
        authority: stranger,
        leaf: await endpointLeaf(stranger, nth, process.gatewayClock.now()),
        port,
        plays: style === "relay" ? undefined : code,
        babbles: style === "babbles",
      });
    });
  }

  #codesFor(node: number): readonly NodeCode[] {
    return rightCodes(this.#shown.get(node) ?? []);
  }

  async #act(process: Process, act: (parts: StrangerParts) => Promise<void>): Promise<void> {
    const holder = await this.#materials().holder(process.machine.name.replace(/\d+$/, ""));
    await act({ network: this.#stage.network, process, holder }).catch(() => undefined);
  }

  #at(name: string): Process {
    const machine = this.#machines.get(name) ?? this.#stage.addPlace(name).machine;
    this.#machines.set(name, machine);
    return new Process(this.#stage.world, machine);
  }
}
