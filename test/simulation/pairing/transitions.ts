/** Which transitions of the two pairing machines have been taken: by which input in which state. */
import type { GatewayPairing, GatewayPairingInput, NodePairing, NodePairingInput } from "@quaymesh/identity";
import { nodeInputOf, pairOf, touchedBy, type Pair } from "../../pairing-states/states.ts";

/** How often each was taken. */
export type TransitionCounts = Readonly<Record<Pair, number>>;

/** Transitions taken. */
class Transitions {
  readonly #counts = new Map<Pair, number>();

  /** The gateway's machine is about to take an input. */
  onGateway(state: GatewayPairing, input: GatewayPairingInput): void {
    for (const touched of touchedBy(state, input)) this.#count(pairOf(touched.state, input.kind));
  }

  /** The node's is. */
  onNode(state: NodePairing, input: NodePairingInput): void {
    this.#count(pairOf(state.kind, nodeInputOf(input)));
  }

  /** How often each was taken so far, or since `before`; those that never were are left out. */
  counts(before: TransitionCounts = {}): TransitionCounts {
    const since = [...this.#counts].map(([pair, count]) => [pair, count - (before[pair] ?? 0)] as const);
    return Object.fromEntries(
      since.filter(([, count]) => count > 0).toSorted(([one], [other]) => (one < other ? -1 : 1)),
    );
  }

  #count(pair: Pair): void {
    this.#counts.set(pair, (this.#counts.get(pair) ?? 0) + 1);
  }
}

/** Those that simulations in this process have taken so far. */
export const TAKEN = new Transitions();
