import type { Child } from "./child.ts";
import { numberField, textField, textsField } from "./line-fields.ts";
import type { Stage } from "./stage.ts";
import type { Outcome } from "./steps.ts";

/** The demo's gateway, which a later step kills and starts again. */
export interface DemoGateway {
  child: Child;
  /** The state directory. */
  readonly state: string;
  /** host:port of the mesh endpoint; kept over the restart, as nodes were told to dial it. */
  readonly address: string;
}

/** Step 1: a gateway in a process of its own, on a port the system picks. */
export async function startGateway(stage: Stage): Promise<Outcome<DemoGateway>> {
  const state = stage.path("gateway");
  const { child, ready } = await launchGateway(stage, state, "127.0.0.1:0");
  const [address = ""] = textsField(ready, "addresses");
  const meshId = textField(ready, "meshId");
  return {
    facts: { meshId, address, pid: numberField(ready, "pid") },
    lines: [`mesh "demo" (${meshId}) at ${address}`, "authority sealed, store open, admin socket ready"],
    value: { child, state, address },
  };
}

/** Start the gateway on a state directory and an address, and wait until it is ready. */
export async function launchGateway(stage: Stage, state: string, listen: string) {
  const words = [
    "gateway",
    "run",
    "--state",
    state,
    "--mesh",
    "demo",
    "--listen",
    listen,
    "--pairing-listen",
    "127.0.0.1:0",
  ];
  const child = stage.command("gateway", words);
  const ready = await child.line("ready line", (line) => line["ready"] === true);
  return { child, ready };
}
