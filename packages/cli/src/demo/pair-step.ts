import { expect } from "./error.ts";
import type { DemoGateway } from "./gateway-step.ts";
import { numberField, objectField, textField, textsField } from "./line-fields.ts";
import type { Screen } from "./screen.ts";
import type { Stage } from "./stage.ts";
import type { Outcome } from "./steps.ts";

/** A paired machine. */
export interface DemoNode {
  readonly name: string;
  readonly state: string;
  readonly deviceId: string;
}

/** Step 2: the node's ticket is what it decodes from the picture of the code. */
export async function pairByPicture(stage: Stage, screen: Screen, gateway: DemoGateway): Promise<Outcome<DemoNode>> {
  const picture = stage.path("code.png");
  const pair = stage.command("pair", [
    "pair",
    "--state",
    gateway.state,
    "--name",
    "build-box",
    "--labels",
    "demo",
    "--png",
    picture,
  ]);
  const opened = await pair.line("open window", (line) => line["state"] === "open");
  const qrRows = numberField(opened, "qrRows");
  screen.doing("the node decodes the picture of the code and asks to be paired");
  const node = { name: "build-box", state: stage.path("node-1") };
  const join = stage.command("node join", ["node", "join", "--png", picture, "--state", node.state]);
  const proved = await join.line("proof of the gateway", (line) => line["step"] === "proved");
  const pending = await pair.line("request", (line) => line["state"] === "pending");
  const request = objectField(pending, "request");
  const words = textsField(request, "words");
  const theirs = textsField(proved, "words");
  expect(words.join(" ") === theirs.join(" "), () => `the screens differ: ${words.join(" ")} and ${theirs.join(" ")}`);
  screen.note(`both screens show: ${words.join("  ")}`);
  await stage.run("pair approve", ["pair", "approve", textField(request, "requestId"), "--state", gateway.state]);
  const joined = await join.line("certificate", (line) => line["joined"] === true);
  await join.exit(0);
  await pair.exit(0);
  const deviceId = textField(joined, "deviceId");
  return {
    facts: { deviceId, words, qrRows, link: textField(opened, "link").length },
    lines: [`ticket read from the picture of a QR code of ${qrRows} rows`, `build-box is ${deviceId}`],
    value: { ...node, deviceId },
  };
}

/** A second machine, by PIN, so that there is one the revocation must not touch. */
export async function pairByPin(stage: Stage, gateway: DemoGateway): Promise<DemoNode> {
  const words = ["pair", "--pin", "--state", gateway.state, "--name", "nas", "--labels", "untouched"];
  const pair = stage.command("pair by PIN", words);
  const opened = await pair.line("open window", (line) => line["state"] === "open");
  const [address = ""] = textsField(opened, "addresses");
  const state = stage.path("node-2");
  const join = stage.command("node join by PIN", ["node", "join", address, "--state", state]);
  join.send(textField(opened, "pin"));
  const proved = await join.line("proof of the gateway", (line) => line["step"] === "proved");
  const request = objectField(await pair.line("request", (line) => line["state"] === "pending"), "request");
  const same = textsField(request, "words").join(" ") === textsField(proved, "words").join(" ");
  expect(same, () => "the screens show different words");
  await stage.run("pair approve", ["pair", "approve", textField(request, "requestId"), "--state", gateway.state]);
  const joined = await join.line("certificate", (line) => line["joined"] === true);
  await join.exit(0);
  await pair.exit(0);
  return { name: "nas", state, deviceId: textField(joined, "deviceId") };
}
