import { span } from "../ui/format.ts";
import type { Child } from "./child.ts";
import { fileURLToPath } from "node:url";
import { numberField } from "./line-fields.ts";
import type { DemoNode } from "./pair-step.ts";
import type { Stage } from "./stage.ts";
import type { Outcome } from "./steps.ts";

const TASKS = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "./tasks.ts" : "./tasks.js", import.meta.url));

/** Step 3: the node dials with its certificate; only the gateway's `Welcome` makes it online. */
export async function goOnline(stage: Stage, node: DemoNode): Promise<Outcome<Child>> {
  const { child, handshakeMs } = await launchNode(stage, node);
  return {
    facts: { handshakeMs },
    lines: [`Welcome ${span(handshakeMs)} after the first datagram`],
    value: child,
  };
}

/** Run a node, and wait until it is online. */
export async function launchNode(stage: Stage, node: DemoNode) {
  const child = stage.command(`node ${node.name}`, ["node", "run", "--state", node.state, "--tasks", TASKS]);
  const online = await child.line("Welcome", (line) => line["state"] === "online");
  return { child, handshakeMs: Math.round(numberField(online, "handshakeMs") * 100) / 100 };
}
