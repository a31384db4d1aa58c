import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { gatewayPairingDeadline, isPairingOpen, nodePairingDeadline } from "@quaymesh/identity";
import { describe, expect, test } from "vitest";
import { WORD_LIST } from "../src/pairing/wordlist.ts";
import {
  bytesOf,
  GATEWAY_KEY,
  GatewayRoom,
  issuedFor,
  knock,
  MESH_ID,
  NodeRoom,
  pinCode,
  ROOT,
  ticketCode,
} from "./pairing-room.ts";
import { DEVICE_ID, NOW } from "./support.ts";

/** Both ends after the proof. */
function proved(code = ticketCode()): { gateway: GatewayRoom; node: NodeRoom; requestId: string } {
  const gateway = new GatewayRoom();
  gateway.open(code);
  const node = new NodeRoom(code);
  expect(knock(gateway, node)).toBeUndefined();
  return { gateway, node, requestId: gateway.ofKind("ask")[0]?.request.requestId ?? "" };
}

describe.each([
  ["a ticket", ticketCode()],
  ["a PIN", pinCode("48217093")],
])("pairing with %s", (_, code) => {
  test("goes from hello to an active device, with the same words on both sides and the code used up", () => {
    const gateway = new GatewayRoom();
    gateway.open(code);
    const node = new NodeRoom(code);
    expect(knock(gateway, node)).toBeUndefined();
    const [ask] = gateway.ofKind("ask");
    expect(node.ofKind("pin")).toEqual([{ kind: "pin", root: ROOT, meshId: MESH_ID }]);
    expect(node.ofKind("show-words")[0]?.words).toEqual(ask?.request.words);
    expect(new Set(ask?.request.words).size).toBeGreaterThan(1);
    expect(ask?.request).toMatchObject({ name: "build-box", source: "192.0.2.1", status: { kind: "pending" } });
    const requestId = ask?.request.requestId ?? "";
    expect(gateway.ofKind("issue")).toEqual([]);
    gateway.step({ kind: "approve", requestId, deviceId: DEVICE_ID });
    expect(gateway.ofKind("issue")).toMatchObject([{ requestId, deviceId: DEVICE_ID, spkiSha256: node.key }]);
    node.receive(gateway.sent.get(node.attemptId)?.[2]);
    expect(node.state.kind).toBe("storing");
    expect(node.step({ kind: "stored" })).toEqual([
      { kind: "send", message: { type: "done" } },
      { kind: "paired", deviceId: DEVICE_ID },
    ]);
    gateway.step({ kind: "done", attemptId: node.attemptId });
    expect(gateway.ofKind("code-ended")).toMatchObject([{ reason: "paired", code }]);
    gateway.step({ kind: "activated", deviceId: DEVICE_ID });
    expect(gateway.ofKind("request-ended")).toEqual([{ kind: "request-ended", requestId, outcome: "active" }]);
    expect(isPairingOpen(gateway.state)).toBe(false);
    expect(gateway.state.budget.failedAt).toEqual({ pin: [], ticket: [] });
    expect(gatewayPairingDeadline(gateway.state)).toBeUndefined();
  });

  test("with another secret fails at the gateway, and nothing but that is learned", () => {
    const gateway = new GatewayRoom();
    gateway.open(code);
    const wrong = code.kind === "pin" ? pinCode("48217094") : { ...code, secret: ticketCode("other").secret };
    const node = new NodeRoom(wrong);
    expect(knock(gateway, node)).toBe("PAIR_CODE_INVALID");
    expect(gateway.sent.get(node.attemptId)?.map(({ type }) => type)).toEqual(["share"]);
    expect(gateway.ofKind("ask")).toEqual([]);
    expect(gateway.code()).toMatchObject({ failures: 1, status: "open" });
  });
});

describe("someone in between", () => {
  test("with a certificate of its own fails the confirmation and burns one attempt, however it relays", () => {
    const code = pinCode("48217093");
    const gateway = new GatewayRoom();
    gateway.open(code);
    const middle = bytesOf("key of the one in between", 32);
    const node = new NodeRoom(code, { gatewayKey: middle });
    gateway.hello("relayed", node.hello, middle);
    node.receive(gateway.sent.get("relayed")?.[0]);
    gateway.step({ kind: "prove", attemptId: "relayed", prove: node.prove });
    expect(gateway.failed.get("relayed")?.code).toBe("PAIR_CODE_INVALID");
    expect(gateway.ofKind("settle")).toEqual([{ kind: "settle", attemptId: "relayed", outcome: "failed" }]);
    expect(gateway.code()?.failures).toBe(1);
    expect(node.ofKind("pin")).toEqual([]);
  });

  test.each([
    ["the gateway's key alone", { node: false, gateway: true }],
    ["the node's key alone", { node: true, gateway: false }],
  ])("who replaces %s fails too", (_, replaced) => {
    const code = ticketCode();
    const gateway = new GatewayRoom();
    gateway.open(code);
    const middle = bytesOf("key of the one in between", 32);
    const node = new NodeRoom(code, { gatewayKey: replaced.gateway ? middle : GATEWAY_KEY });
    gateway.hello("relayed", node.hello, replaced.node ? middle : node.key);
    node.receive(gateway.sent.get("relayed")?.[0]);
    gateway.step({ kind: "prove", attemptId: "relayed", prove: node.prove });
    expect(gateway.failed.get("relayed")?.code).toBe("PAIR_CODE_INVALID");
  });

  test("who plays the gateway without the code cannot prove it, and the node says so and pins nothing", () => {
    const node = new NodeRoom(pinCode("48217093"));
    const impostor = new GatewayRoom();
    impostor.open(pinCode("00000000"));
    impostor.hello(node.attemptId, node.hello, node.key);
    node.receive(impostor.sent.get(node.attemptId)?.[0]);
    const mac = new Uint8Array(64);
    node.receive({ type: "proved", mac, root: ROOT, mesh: MESH_ID, requestId: "x" });
    expect(node.ofKind("failed")).toMatchObject([{ code: "PAKE_CONFIRM_FAILED" }]);
    expect(node.ofKind("pin")).toEqual([]);
  });

  test("who has guessed the PIN pairs both sides, and the two screens show different words", () => {
    const code = pinCode("48217093");
    const middle = bytesOf("key of the one in between", 32);
    const [gateway, pretended] = [new GatewayRoom(), new GatewayRoom()];
    gateway.open(code);
    pretended.open(code);
    const victim = new NodeRoom(code, { gatewayKey: middle });
    pretended.step({
      kind: "hello",
      attemptId: "victim",
      hello: victim.hello,
      peer: { source: "s", nodeSpkiSha256: victim.key, gatewaySpkiSha256: middle },
      entropy: { nonce: bytesOf("n", 16), scalar: bytesOf("s", 32), decoy: bytesOf("d", 16), requestId: "r" },
      deviceId: DEVICE_ID,
    });
    victim.receive(pretended.sent.get("victim")?.[0]);
    pretended.step({ kind: "prove", attemptId: "victim", prove: victim.prove });
    victim.receive(pretended.sent.get("victim")?.[1]);
    const thief = new NodeRoom(code, { keyName: "key of the one in between", attemptId: "thief" });
    expect(knock(gateway, thief)).toBeUndefined();
    const [shown] = victim.ofKind("show-words");
    expect(shown?.words).toBeDefined();
    expect(shown?.words).not.toEqual(gateway.ofKind("ask")[0]?.request.words);
  });

  test("cannot know the words before it has committed to its own share: they change with the request's bytes alone", () => {
    const words = ["one", "two"].map((csr) => {
      const code = ticketCode();
      const gateway = new GatewayRoom();
      gateway.inspect = () => ({ kind: "valid", spkiSha256: bytesOf("node key", 32), enrolment: { kind: "none" } });
      gateway.open(code);
      const node = new NodeRoom(code, { attemptId: csr });
      expect(knock(gateway, node)).toBeUndefined();
      return gateway.ofKind("ask")[0]?.request.words;
    });
    expect(words[0]).not.toEqual(words[1]);
  });

  test.each(["nonce", "name", "platform", "codeId", "csrHash"])("who changes the hello's %s fails", (field) => {
    const code = ticketCode();
    const gateway = new GatewayRoom();
    gateway.open(code);
    gateway.open({ ...ticketCode("same secret, other id"), secret: code.secret }, { windowId: "other" });
    const node = new NodeRoom(code);
    const changes = {
      nonce: new Uint8Array(16),
      name: "other",
      platform: { os: "linux", arch: "arm64" },
      codeId: ticketCode("same secret, other id").codeId,
      csrHash: new Uint8Array(32),
    };
    const changed = { ...node.hello, [field]: changes[field as keyof typeof changes] };
    gateway.hello(node.attemptId, changed, node.key);
    node.receive(gateway.sent.get(node.attemptId)?.[0]);
    gateway.step({ kind: "prove", attemptId: node.attemptId, prove: node.prove });
    expect(gateway.failed.get(node.attemptId)?.code).toBe("PAIR_CODE_INVALID");
  });

  test.each(["root", "mesh", "requestId"])("who changes the %s in the answer fails", (field) => {
    const { gateway, requestId } = proved();
    const node = new NodeRoom(ticketCode());
    node.receive(gateway.sent.get(node.attemptId)?.[0]);
    const honest = gateway.sent.get(node.attemptId)?.[1];
    if (honest?.type !== "proved") throw new Error("no proof");
    expect(honest.requestId).toBe(requestId);
    const changes = { root: bytesOf("root", 30), mesh: "ponmlkjihgfedcba", requestId: "other" };
    node.receive({ ...honest, [field]: changes[field as keyof typeof changes] });
    expect(node.ofKind("failed")).toMatchObject([{ code: "PAKE_CONFIRM_FAILED" }]);
  });
});

describe("the node", () => {
  test("refuses a gateway that proves the code but names another root than its connection showed", () => {
    const code = ticketCode();
    const gateway = new GatewayRoom();
    gateway.open(code);
    const node = new NodeRoom(code, { root: bytesOf("another root", 20) });
    knock(gateway, node);
    expect(node.ofKind("failed")).toMatchObject([{ code: "GATEWAY_PIN_MISMATCH" }]);
    expect(node.ofKind("pin")).toEqual([]);
  });

  test("ends with the gateway's own code when it is refused", () => {
    const node = new NodeRoom(ticketCode());
    node.step({ kind: "error", code: "PAIR_RATE_LIMITED", message: "later", retryAfterMs: 5000 });
    expect(node.ofKind("failed")).toEqual([
      { kind: "failed", code: "PAIR_RATE_LIMITED", message: "later", retryAfterMs: 5000 },
    ]);
    expect(node.step({ kind: "error", code: "X", message: "" })).toEqual([]);
  });

  test.each([
    ["awaiting-share", 20_000, "PAIR_TIMEOUT"],
    ["awaiting-proof", 20_000, "PAIR_TIMEOUT"],
    ["awaiting-approval", 360_000, "PAIR_APPROVAL_TIMEOUT"],
  ])("does not wait for ever while %s", (kind, waitMs, code) => {
    const node = nodeIn(kind);
    expect(nodePairingDeadline(node.state)).toBe(NOW + waitMs);
    expect(node.step({ kind: "tick", now: NOW + waitMs - 1 })).toEqual([]);
    node.step({ kind: "tick", now: NOW + waitMs });
    expect(node.ofKind("failed")).toMatchObject([{ code }]);
    expect(nodePairingDeadline(node.state)).toBeUndefined();
  });

  const messages = {
    share: { type: "share", nonce: new Uint8Array(16), yb: bytesOf("not an element", 32).fill(0xff) },
    proved: { type: "proved", mac: new Uint8Array(64), root: ROOT, mesh: MESH_ID, requestId: "r" },
    issued: issuedFor(),
  } as const;
  const expected: [string, keyof typeof messages, string][] = [
    ["awaiting-share", "share", "PAKE_CONFIRM_FAILED"],
    ["awaiting-share", "proved", "PAIR_PROTOCOL"],
    ["awaiting-share", "issued", "PAIR_PROTOCOL"],
    ["awaiting-proof", "share", "PAIR_PROTOCOL"],
    ["awaiting-proof", "proved", "PAKE_CONFIRM_FAILED"],
    ["awaiting-proof", "issued", "PAIR_PROTOCOL"],
    ["awaiting-approval", "share", "PAIR_PROTOCOL"],
    ["awaiting-approval", "proved", "PAIR_PROTOCOL"],
    ["awaiting-approval", "issued", ""],
    ["storing", "issued", "PAIR_PROTOCOL"],
    ["storing", "share", "PAIR_PROTOCOL"],
  ];
  test.each(expected)("while %s answers %s with %j", (kind, message, code) => {
    const node = nodeIn(kind);
    node.receive(messages[message]);
    expect(node.ofKind("failed").map((failure) => failure.code)).toEqual(code === "" ? [] : [code]);
    if (code === "") expect(node.state.kind).toBe("storing");
  });

  test("goes on storing when the stream ends under it, and gives up when it cannot store", () => {
    const node = nodeIn("storing");
    expect(node.step({ kind: "gone" })).toEqual([]);
    expect(node.step({ kind: "error", code: "PAIR_UNAVAILABLE", message: "" })).toEqual([]);
    expect(node.step({ kind: "stored" })).toHaveLength(2);
    expect(node.step({ kind: "gone" })).toEqual([]);
    const full = nodeIn("storing");
    full.step({ kind: "store-failed", code: "STORE_WRITE_FAILED", message: "disk full" });
    expect(full.ofKind("failed")).toMatchObject([{ code: "STORE_WRITE_FAILED" }]);
    for (const kind of ["awaiting-share", "awaiting-proof", "awaiting-approval"]) {
      const early = nodeIn(kind);
      expect(early.step({ kind: "stored" })).toEqual([]);
      early.step({ kind: "gone" });
      expect(early.ofKind("failed")).toMatchObject([{ code: "PAIR_PROTOCOL" }]);
    }
  });
});

function nodeIn(kind: string): NodeRoom {
  const code = ticketCode();
  const gateway = new GatewayRoom();
  gateway.open(code);
  const node = new NodeRoom(code);
  if (kind === "awaiting-share") return node;
  gateway.hello(node.attemptId, node.hello, node.key);
  node.receive(gateway.sent.get(node.attemptId)?.[0]);
  if (kind === "awaiting-proof") return node;
  gateway.step({ kind: "prove", attemptId: node.attemptId, prove: node.prove });
  node.receive(gateway.sent.get(node.attemptId)?.[1]);
  if (kind === "awaiting-approval") return node;
  node.receive(issuedFor());
  expect(node.state.kind).toBe(kind);
  return node;
}

test("the word list is the published one, and the one of the wire specification", () => {
  const list = `${WORD_LIST.join("\n")}\n`;
  expect(WORD_LIST).toHaveLength(2048);
  expect(createHash("sha256").update(list).digest("hex")).toBe(
    "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda",
  );
  expect(readFileSync(new URL("../../../schemas/wire/words.txt", import.meta.url), "utf8")).toBe(list);
});
