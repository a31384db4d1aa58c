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
import { DEVICE_ID, NOW, OTHER_DEVICE_ID } from "./support.ts";

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
    expect(gateway.state.budget.failedAt).toEqual([]);
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
    expect(gateway.state.codes.get("window")).toMatchObject({ failures: 1, status: { kind: "open" } });
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
    expect(gateway.state.codes.get("window")?.failures).toBe(1);
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

describe("an operator", () => {
  test("may deny: the node is told, the code is over, and a later approval changes nothing", () => {
    const { gateway, node, requestId } = proved();
    gateway.step({ kind: "deny", requestId });
    expect(gateway.failed.get(node.attemptId)?.code).toBe("PAIR_DENIED");
    expect(gateway.ofKind("code-ended")).toMatchObject([{ reason: "denied" }]);
    expect(gateway.step({ kind: "approve", requestId, deviceId: DEVICE_ID })).toEqual([
      { kind: "rejected", input: "approve", id: requestId, reason: "unknown" },
    ]);
    expect(gateway.ofKind("issue")).toEqual([]);
  });

  test("may decide once", () => {
    const { gateway, requestId } = proved();
    gateway.held.add("issue");
    gateway.step({ kind: "approve", requestId, deviceId: DEVICE_ID });
    for (const input of ["approve", "deny"] as const) {
      expect(gateway.step({ kind: input, requestId, deviceId: OTHER_DEVICE_ID })).toEqual([
        { kind: "rejected", input, id: requestId, reason: "decided" },
      ]);
    }
    expect(gateway.ofKind("issue")).toHaveLength(1);
  });

  test("who says nothing has denied: the request runs out", () => {
    const { gateway, node } = proved();
    expect(gatewayPairingDeadline(gateway.state)).toBe(NOW + 300_000);
    gateway.now += 299_999;
    expect(gateway.step({ kind: "tick" })).toEqual([]);
    gateway.now += 1;
    gateway.step({ kind: "tick" });
    expect(gateway.failed.get(node.attemptId)?.code).toBe("PAIR_APPROVAL_TIMEOUT");
    expect(gateway.ofKind("request-ended")).toMatchObject([{ outcome: "expired" }]);
    expect(isPairingOpen(gateway.state)).toBe(false);
  });

  test("can open one PIN window at a time, no window twice, and none that is over", () => {
    const gateway = new GatewayRoom();
    expect(gateway.open(pinCode("11111111"))).toEqual([]);
    expect(gateway.open(pinCode("22222222"), { windowId: "b" })).toMatchObject([{ reason: "pin-window-open" }]);
    expect(gateway.open(ticketCode())).toMatchObject([{ reason: "exists" }]);
    expect(gateway.open(ticketCode(), { windowId: "c", ttlMs: 0 })).toMatchObject([{ reason: "expired" }]);
    expect(gateway.open(ticketCode(), { windowId: "d" })).toEqual([]);
    gateway.step({ kind: "close", windowId: "window" });
    expect(gateway.open(pinCode("22222222"), { windowId: "b" })).toEqual([]);
  });
});

describe("a device that is known already", () => {
  test("pairs again as itself, whatever id was offered", () => {
    const code = ticketCode();
    const gateway = new GatewayRoom();
    gateway.inspect = () => ({
      kind: "valid",
      spkiSha256: bytesOf("node key", 32),
      enrolment: { kind: "device", deviceId: OTHER_DEVICE_ID },
    });
    gateway.open(code);
    knock(gateway, new NodeRoom(code));
    const [ask] = gateway.ofKind("ask");
    expect(ask?.request.enrolledAs).toBe(OTHER_DEVICE_ID);
    gateway.step({ kind: "approve", requestId: ask?.request.requestId ?? "", deviceId: DEVICE_ID });
    expect(gateway.ofKind("issue")[0]?.deviceId).toBe(OTHER_DEVICE_ID);
  });

  const findings = [
    ["DEVICE_REVOKED", { kind: "valid", spkiSha256: bytesOf("node key", 32), enrolment: { kind: "revoked" } }],
    ["PAIR_KEY_MISMATCH", { kind: "valid", spkiSha256: bytesOf("another key", 32), enrolment: { kind: "none" } }],
    ["PAIR_CSR_INVALID", { kind: "invalid", detail: "no" }],
  ] as const;
  test.each(findings)("or asks for what it may not is told %s, and the code is free again", (expected, finding) => {
    const code = ticketCode();
    const gateway = new GatewayRoom();
    gateway.inspect = () => finding;
    gateway.open(code);
    expect(knock(gateway, new NodeRoom(code))).toBe(expected);
    expect(gateway.state.codes.get("window")).toMatchObject({ failures: 0, status: { kind: "open" } });
    expect(gateway.ofKind("ask")).toEqual([]);
  });

  test("cannot swap its request for another than it announced", () => {
    const code = ticketCode();
    const gateway = new GatewayRoom();
    gateway.open(code);
    const node = new NodeRoom(code);
    gateway.hello(node.attemptId, node.hello, node.key);
    node.receive(gateway.sent.get(node.attemptId)?.[0]);
    gateway.step({
      kind: "prove",
      attemptId: node.attemptId,
      prove: { ...node.prove, csr: new TextEncoder().encode("node key#x") },
    });
    expect(gateway.failed.get(node.attemptId)?.code).toBe("PAIR_CSR_INVALID");
  });
});

describe("a device that was cut off", () => {
  test("comes back with the same code and key to the same request, with new words, and gets what was issued meanwhile", () => {
    const code = ticketCode();
    const { gateway, node, requestId } = proved(code);
    gateway.step({ kind: "gone", attemptId: node.attemptId });
    const again = new NodeRoom(code, { attemptId: "again" });
    expect(knock(gateway, again)).toBeUndefined();
    const asked = gateway.ofKind("ask").map(({ request }) => request);
    expect(asked.map((request) => request.requestId)).toEqual([requestId, requestId]);
    expect(again.ofKind("show-words")[0]?.words).toEqual(asked[1]?.words);
    expect(asked[1]?.words).not.toEqual(asked[0]?.words);
    gateway.step({ kind: "gone", attemptId: "again" });
    gateway.step({ kind: "approve", requestId, deviceId: DEVICE_ID });
    const third = new NodeRoom(code, { attemptId: "third" });
    expect(knock(gateway, third)).toBeUndefined();
    expect(gateway.sent.get("third")?.map(({ type }) => type)).toEqual(["share", "proved", "issued"]);
    expect(gateway.ofKind("issue")).toHaveLength(1);
  });

  test("may come back while its old stream still hangs: the old one is ended", () => {
    const code = ticketCode();
    const { gateway, node } = proved(code);
    expect(knock(gateway, new NodeRoom(code, { attemptId: "again" }))).toBeUndefined();
    expect(gateway.failed.get(node.attemptId)?.code).toBe("PAIR_UNAVAILABLE");
  });

  test("is the only one who may: another key with the same code is told what everyone is told", () => {
    const code = ticketCode();
    const { gateway } = proved(code);
    expect(knock(gateway, new NodeRoom(code, { keyName: "another" }))).toBe("PAIR_CODE_INVALID");
    expect(gateway.ofKind("ask")).toHaveLength(1);
  });

  test.each(["before", "after"])("is not let into the request of another device, %s that one's is made", (order) => {
    const code = ticketCode();
    const { gateway, node, requestId } = proved(code);
    gateway.held.add("issue");
    gateway.held.add("inspect-csr");
    gateway.step({ kind: "approve", requestId, deviceId: DEVICE_ID });
    const back = new NodeRoom(code, { attemptId: "back" });
    knock(gateway, back);
    gateway.step({ kind: "issue-failed", requestId });
    const other = new NodeRoom(code, { keyName: "other" });
    knock(gateway, other);
    const inspected = (attemptId: string, spkiSha256: Uint8Array): void => {
      const finding = { kind: "valid", spkiSha256, enrolment: { kind: "none" } } as const;
      gateway.step({ kind: "csr-inspected", attemptId, finding });
    };
    if (order === "before") inspected("back", node.key);
    inspected("other", other.key);
    if (order === "after") inspected("back", node.key);
    expect(gateway.failed.get("back")?.code).toBe("PAIR_CODE_INVALID");
    expect([...gateway.state.requests.values()].map((request) => request.spkiSha256)).toEqual([other.key]);
    expect(gateway.state.attempts.get("other")?.kind).toBe("waiting");
  });

  test("is not believed when it says it is done before it got anything", () => {
    const { gateway, node, requestId } = proved();
    expect(gateway.step({ kind: "done", attemptId: node.attemptId })).toEqual([]);
    expect(gateway.state.codes.has("window")).toBe(true);
    gateway.step({ kind: "approve", requestId, deviceId: DEVICE_ID });
    expect(gateway.sent.get(node.attemptId)?.map(({ type }) => type)).toEqual(["share", "proved", "issued"]);
  });

  test("may try again with the same code when its certificate could not be issued", () => {
    const code = ticketCode();
    const { gateway, node, requestId } = proved(code);
    gateway.held.add("issue");
    gateway.step({ kind: "approve", requestId, deviceId: DEVICE_ID });
    gateway.step({ kind: "issue-failed", requestId });
    expect(gateway.failed.get(node.attemptId)?.code).toBe("PAIR_UNAVAILABLE");
    expect(knock(gateway, new NodeRoom(code, { attemptId: "again" }))).toBeUndefined();
    expect(gateway.ofKind("ask")).toHaveLength(2);
  });
});

test("the word list is the published one, and the one of the wire specification", () => {
  const list = `${WORD_LIST.join("\n")}\n`;
  expect(WORD_LIST).toHaveLength(2048);
  expect(createHash("sha256").update(list).digest("hex")).toBe(
    "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda",
  );
  expect(readFileSync(new URL("../../../schemas/wire/words.txt", import.meta.url), "utf8")).toBe(list);
});
