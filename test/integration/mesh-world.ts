/** A gateway and nodes over QUIC on this machine, with the pairing endpoint in its process: for what changes the mesh under them. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Gateway } from "@quaymesh/gateway";
import { connect, type GatewayClient } from "@quaymesh/gateway/client";
import { parsePin, parseTicket } from "@quaymesh/identity";
import { join as joinMesh, Node, type JoinInvitation, type NodeLogLine } from "@quaymesh/node";
import { createQuicTransport } from "@quaymesh/transport-quic";
import { expect } from "vitest";

/** The network of every gateway and node here. */
export const transport = createQuicTransport();

const WAIT = { timeout: 60_000, interval: 10 };

/** Wait until `check` holds. */
export async function until(check: () => boolean | Promise<boolean>): Promise<void> {
  await expect.poll(check, WAIT).toBe(true);
}

/** A node at work, and what it has said. */
export interface RunningNode extends AsyncDisposable {
  readonly node: Node;
  readonly lines: readonly NodeLogLine[];
  /** How it ended, where it did so by itself. */
  readonly ended: Promise<unknown>;
}

/** One directory, its gateway and its nodes. */
export class MeshWorld implements AsyncDisposable {
  readonly directory: string;
  readonly gatewayState: string;

  private constructor(directory: string) {
    this.directory = directory;
    this.gatewayState = join(directory, "gateway");
  }

  static async open(): Promise<MeshWorld> {
    return new MeshWorld(await mkdtemp(join(tmpdir(), "quaymesh-mesh-")));
  }

  /** @param ports 0 for any */
  gateway(
    ports: { readonly mesh?: number; readonly pairing?: number } = {},
    state = this.gatewayState,
  ): Promise<Gateway> {
    return Gateway.open({
      transport,
      state,
      listen: { host: "127.0.0.1", port: ports.mesh ?? 0 },
      pairing: {
        childModule: new URL("../../packages/cli/src/pairing-child.ts", import.meta.url),
        listen: { host: "127.0.0.1", port: ports.pairing ?? 0 },
        door: "always",
      },
    });
  }

  operator(state = this.gatewayState): Promise<GatewayClient> {
    return connect({ state });
  }

  nodeState(name: string): string {
    return join(this.directory, name);
  }

  /** Pair a node, with a ticket or a PIN. */
  async pair(client: GatewayClient, name: string, code: "ticket" | "pin" = "ticket"): Promise<void> {
    const window = await client.pairing.open({ name, code });
    const joining = joinMesh({ state: this.nodeState(name), transport, invitation: invitationOf(window) });
    joining.catch(() => {});
    for await (const { state: at, request } of client.pairing.watch(window.windowId)) {
      if (at === "pending") await client.pairing.approve(request?.requestId ?? "");
      if (at === "issued") break;
    }
    await joining;
  }

  /** Run a node. */
  async run(name: string): Promise<RunningNode> {
    const lines: NodeLogLine[] = [];
    const node = await Node.open({ state: this.nodeState(name), transport, log: (line) => void lines.push(line) });
    const ended = node.run().catch((cause: unknown) => cause);
    return {
      node,
      lines,
      ended,
      async [Symbol.asyncDispose]() {
        await node.stop({ graceMs: 0, flushMs: 0 });
        await ended;
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}

function invitationOf(window: Awaited<ReturnType<GatewayClient["pairing"]["open"]>>): JoinInvitation {
  if (window.link !== "") return { kind: "ticket", ticket: parseTicket(window.link, { now: Date.now() }) };
  const [host = "", port = ""] = (window.addresses[0] ?? "").split(":");
  return { kind: "pin", address: { host, port: Number(port) }, pin: parsePin(window.pin) };
}
