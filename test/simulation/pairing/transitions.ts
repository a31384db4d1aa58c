/** Which transitions of the two pairing machines have been taken: by which input in which state. */
import type { GatewayPairing, GatewayPairingInput, NodePairing, NodePairingInput } from "@quaymesh/identity";
import { nodeInputOf, pairOf, touchedBy, type Pair } from "../../pairing-states/states.ts";

/** Transitions taken. */
class Transitions {
  readonly gateway = new Set<Pair>();
  readonly node = new Set<Pair>();

  /** The gateway's machine is about to take an input. */
  onGateway(state: GatewayPairing, input: GatewayPairingInput): void {
    for (const touched of touchedBy(state, input)) this.gateway.add(pairOf(touched.state, input.kind));
  }

  /** The node's is. */
  onNode(state: NodePairing, input: NodePairingInput): void {
    this.node.add(pairOf(state.kind, nodeInputOf(input)));
  }
}

/** Those that simulations in this process have taken so far. */
export const TAKEN = new Transitions();
