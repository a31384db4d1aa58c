import type { GatewayClient } from "@quaymesh/gateway/client";
import { span } from "../ui/format.ts";
import type { Child } from "./child.ts";
import { expect } from "./error.ts";
import type { DemoGateway } from "./gateway-step.ts";
import { numberField, objectField, textField } from "./line-fields.ts";
import { launchNode } from "./online-step.ts";
import { pairByPin, type DemoNode } from "./pair-step.ts";
import { repositoryFiles } from "./repository.ts";
import type { Screen } from "./screen.ts";
import type { Stage } from "./stage.ts";
import type { Outcome } from "./steps.ts";
import { digestOn } from "./task-step.ts";

/** Exit code of a node whose device is revoked. */
const EXIT_REVOKED = 17;
/** Files for the task that shows the other node at work. */
const FEW_FILES = 5;

/** Step 6: one device is cut off while another goes on as if nothing had happened. */
export async function revokeOne(
  stage: Stage,
  screen: Screen,
  gateway: DemoGateway,
  client: GatewayClient,
  node: DemoNode,
): Promise<Outcome<void>> {
  const other = await pairByPin(stage, gateway);
  await launchNode(stage, other);
  const { child } = await launchNode(stage, node);
  const before = await client.devices.get(other.deviceId, { signal: stage.signal });
  screen.doing("quaymesh device revoke build-box");
  const receipt = await stage.run("device revoke", [
    "device",
    "revoke",
    node.name,
    "--reason",
    "the demo is over",
    "--yes",
    "--state",
    gateway.state,
  ]);
  const closedMs = Math.round(numberField(receipt, "closedMs") * 1000) / 1000;
  expect(
    numberField(receipt, "sessionsClosed") === 1,
    () => `the receipt says ${String(receipt["sessionsClosed"])} sessions closed`,
  );
  await child.exit(EXIT_REVOKED);
  screen.doing("the revoked node dials again");
  const redialRefusedWith = await redial(stage, node);
  const after = await client.devices.get(other.deviceId, { signal: stage.signal });
  const untouched = after.state === "online" && after.sessionEpoch === before.sessionEpoch;
  expect(
    untouched,
    () => `${other.name} is ${after.state}, session ${after.sessionEpoch} instead of ${before.sessionEpoch}`,
  );
  const { output } = await digestOn(stage, screen, client, other, (await repositoryFiles()).slice(0, FEW_FILES));
  expect(
    output.files.length === FEW_FILES,
    () => `${other.name} digested ${output.files.length} of ${FEW_FILES} files`,
  );
  return {
    facts: {
      closedMs,
      redialRefusedWith,
      receiptId: textField(receipt, "receiptId"),
      revocationEpoch: numberField(receipt, "revocationEpoch"),
      sessionsClosed: 1,
      untouched: other.deviceId,
    },
    lines: [
      `session closed in ${span(closedMs)}`,
      `redial refused in the handshake with ${redialRefusedWith}`,
      `${other.name}, paired by PIN, kept its session and ran a task`,
    ],
    value: undefined,
  };
}

/** Start the revoked node again: it must be turned away inside the handshake, and know why. */
async function redial(stage: Stage, node: DemoNode): Promise<string> {
  const child: Child = stage.command("revoked node", ["node", "run", "--state", node.state]);
  const stopped = await child.line("refusal", (line) => line["state"] === "stopped");
  await child.exit(EXIT_REVOKED);
  const error = objectField(stopped, "error");
  expect(error["refusedWith"] === "certificate_revoked", () => `the redial was refused with ${JSON.stringify(error)}`);
  return textField(error, "refusedWith");
}
