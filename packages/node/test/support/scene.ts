import type { Authority } from "@quaymesh/identity";
import { createMemoryNetwork, type MemoryNetwork } from "@quaymesh/protocol/memory";
import { systemClock, type Clock } from "../../src/clock.ts";
import { Node, type NodeOptions, type NodeState } from "../../src/index.ts";
import { FakeGateway } from "./fake-gateway.ts";
import { createAuthority, pairState, temporaryDirectory } from "./paired-state.ts";

/** Real time, and no jitter: a redial comes at once. */
export const eagerClock: Clock = { ...systemClock, random: () => 0 };

let made: Promise<Authority> | undefined;

/** One authority for all scenes of a test file: keys take time. */
export function sharedAuthority(): Promise<Authority> {
  made ??= createAuthority();
  return made;
}

/** A paired node and its gateway, on a network of their own. */
export interface Scene extends AsyncDisposable {
  readonly network: MemoryNetwork;
  readonly gateway: FakeGateway;
  /** The node that is open now. */
  node: Node;
  /** Its state directory. */
  readonly state: string;
  /** Open the state directory again, as a new process would. */
  open(more?: Partial<NodeOptions>): Promise<Node>;
  /** Run the node in the background until it is online. */
  start(): Promise<void>;
}

export async function openScene(options: Partial<NodeOptions> & { readonly listens?: boolean } = {}): Promise<Scene> {
  const { listens = true, ...nodeOptions } = options;
  const network = createMemoryNetwork();
  const directory = await temporaryDirectory();
  await pairState(directory.path, await sharedAuthority());
  const gateway = new FakeGateway();
  if (listens) await gateway.open(network);
  const running: Promise<void>[] = [];
  const scene: Scene = {
    network,
    gateway,
    node: await openNode(),
    state: directory.path,
    async open(more = {}) {
      scene.node = await openNode(more);
      return scene.node;
    },
    async start() {
      running.push(scene.node.run());
      await untilState(scene.node, "online");
    },
    async [Symbol.asyncDispose]() {
      await scene.node.stop({ graceMs: 0, flushMs: 0 });
      await Promise.allSettled(running);
      await gateway.close();
      await directory[Symbol.asyncDispose]();
    },
  };
  return scene;

  function openNode(more: Partial<NodeOptions> = {}): Promise<Node> {
    return Node.open({ state: directory.path, transport: network, clock: eagerClock, ...nodeOptions, ...more });
  }
}

/** Wait for a state of this kind. */
export async function untilState<K extends NodeState["kind"]>(
  node: Node,
  kind: K,
): Promise<Extract<NodeState, { kind: K }>> {
  for await (const state of node.states()) {
    if (isKind(state, kind)) return state;
  }
  throw new Error(`the node stopped before it was ${kind}`);
}

function isKind<K extends NodeState["kind"]>(state: NodeState, kind: K): state is Extract<NodeState, { kind: K }> {
  return state.kind === kind;
}
