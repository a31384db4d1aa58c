import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { openWindow, quaymesh, Running, startGateway, temporaryDirectory, type Line } from "./support.ts";

const lines = (stdout: string): readonly Line[] =>
  stdout
    .trim()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);

test("a pre-approved ticket outlives the command that made it and the gateway's process, and lets in as many as it has uses", async () => {
  await using directory = await temporaryDirectory();
  const state = directory.path("gateway");
  const gateway = await startGateway(state);
  const preapproved = ["--auto-approve", "--uses", "2", "--labels", "ci", "--ttl", "1d", "--detach"];
  const made = await quaymesh(["pair", "--state", state, ...preapproved, "--json"]);
  expect(made.exit).toBe(0);
  const [opened] = lines(made.stdout);
  const link = String(opened?.["link"]);
  const [pairingAddress = ""] = (opened?.["addresses"] ?? []) as readonly string[];
  const join = (name: string) =>
    quaymesh(["node", "join", "-", "--state", directory.path(name), "--json"], { input: link });
  expect((await join("first")).exit).toBe(0);
  await gateway.running.end();
  await using again = new Running([
    "gateway",
    "run",
    "--state",
    state,
    "--listen",
    "127.0.0.1:0",
    "--pairing-listen",
    pairingAddress,
  ]);
  await again.line((line) => line["ready"] === true);
  const listed = lines((await quaymesh(["pair", "list", "--state", state, "--json"])).stdout);
  expect(listed.find(({ type }) => type === "window")).toMatchObject({ uses: 2, usesLeft: 1, preapproved: true });
  expect((await join("second")).exit).toBe(0);
  expect((await join("third")).exit).toBeGreaterThan(0);
  const devices = lines((await quaymesh(["device", "list", "--state", state, "--json"])).stdout);
  expect(devices).toHaveLength(2);
  expect(devices).toMatchObject([{ labels: ["ci"] }, { labels: ["ci"] }]);
  const requests = lines((await quaymesh(["pair", "list", "--state", state, "--json"])).stdout);
  expect(requests.filter(({ preapproved: given }) => given === true).length).toBeGreaterThanOrEqual(2);
});

test("a node that shows its own code is scanned by an operator, and a window can be cancelled", async () => {
  await using directory = await temporaryDirectory();
  await using gateway = await startGateway(directory.path("gateway"));
  // What the pairing endpoint's port is, only a window tells; and that one is not for this node.
  await using other = await openWindow(gateway.state, "--no-pin");
  expect(other.pin).toBe("");
  const [address = ""] = other.addresses;
  await using joining = new Running(["node", "join", "--show", address, "--state", directory.path("node")]);
  const showing = await joining.line((line) => line["step"] === "showing");
  const code = String(showing["code"]);
  await using window = await openWindow(gateway.state, code, "--name", "attic");
  if (process.platform === "linux") {
    expect(await readFile(`/proc/${window.pair.pid}/cmdline`, "utf8")).toMatch(
      /^quaymesh pair --state \S+ … --name attic/u,
    );
  }
  const pending = await window.pair.line((line) => line["state"] === "pending");
  const request = pending["request"] as { readonly requestId: string; readonly words: readonly string[] };
  const proved = await joining.line((line) => line["step"] === "proved");
  expect(proved["words"]).toEqual(request.words);
  await quaymesh(["pair", "approve", request.requestId, "--state", gateway.state]);
  expect(await joining.ended()).toMatchObject({ exit: 0 });
  const listed = lines((await quaymesh(["pair", "list", "--state", gateway.state, "--json"])).stdout);
  const open = listed.find(({ type, codes }) => type === "window" && String(codes) === "ticket");
  const cancelled = await quaymesh(["pair", "cancel", String(open?.["windowId"]), "--state", gateway.state, "--json"]);
  expect(lines(cancelled.stdout)).toMatchObject([{ closed: true, devices: 0 }]);
  expect(await other.pair.ended()).toMatchObject({ exit: 12, error: { code: "PAIR_CLOSED" } });
});
