import { gatewayPairingDeadline, isPairingOpen } from "@quaymesh/identity";
import { describe, expect, test } from "vitest";
import { bytesOf, GatewayRoom, knock, NodeRoom, pinCode, ticketCode } from "./pairing-room.ts";
import { DEVICE_ID, NOW, OTHER_DEVICE_ID } from "./support.ts";

/** Both ends after the proof. */
function proved(code = ticketCode()): { gateway: GatewayRoom; node: NodeRoom; requestId: string } {
  const gateway = new GatewayRoom();
  gateway.open(code);
  const node = new NodeRoom(code);
  expect(knock(gateway, node)).toBeUndefined();
  return { gateway, node, requestId: gateway.ofKind("ask")[0]?.request.requestId ?? "" };
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
      enrolment: { kind: "device", deviceId: OTHER_DEVICE_ID, frozen: false },
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
    expect(gateway.code()).toMatchObject({ failures: 0, status: "open" });
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
    gateway.step({ kind: "issue-failed", requestId, revoked: false });
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
    expect(gateway.state.windows.has("window")).toBe(true);
    gateway.step({ kind: "approve", requestId, deviceId: DEVICE_ID });
    expect(gateway.sent.get(node.attemptId)?.map(({ type }) => type)).toEqual(["share", "proved", "issued"]);
  });

  test("may try again with the same code when its certificate could not be issued", () => {
    const code = ticketCode();
    const { gateway, node, requestId } = proved(code);
    gateway.held.add("issue");
    gateway.step({ kind: "approve", requestId, deviceId: DEVICE_ID });
    gateway.step({ kind: "issue-failed", requestId, revoked: false });
    expect(gateway.failed.get(node.attemptId)?.code).toBe("PAIR_UNAVAILABLE");
    expect(knock(gateway, new NodeRoom(code, { attemptId: "again" }))).toBeUndefined();
    expect(gateway.ofKind("ask")).toHaveLength(2);
  });
});
