import * as fc from "fast-check";
import { gatewayPairingDeadline, isPairingOpen, Secret, type CsrFinding } from "@quaymesh/identity";
import { describe, expect, test } from "vitest";
import { bytesOf, GatewayRoom, knock, NodeRoom, ownCode, pinCode, ticketCode } from "./pairing-room.ts";
import { DEVICE_ID, NOW, OTHER_DEVICE_ID } from "./support.ts";

const ticket = ticketCode();
const pin = pinCode("48217093");
const named = (keyName: string): NodeRoom => new NodeRoom(ticket, { keyName, attemptId: `attempt of ${keyName}` });

/** What the gateway's shell finds out about every key from now on. */
function enrolment(gateway: GatewayRoom, finding: Extract<CsrFinding, { kind: "valid" }>["enrolment"]): void {
  const inspect = gateway.inspect;
  gateway.inspect = (csr) => ({ ...inspect(csr), enrolment: finding }) as CsrFinding;
}

describe("a window with a ticket and a PIN", () => {
  function both(): GatewayRoom {
    const gateway = new GatewayRoom();
    expect(gateway.open([ticket, pin])).toEqual([]);
    return gateway;
  }

  test.each([
    ["the ticket", ticket, pin],
    ["the PIN", pin, ticket],
  ] as const)("lets one device in: once %s is proved, the other code is worth nothing", (_which, used, other) => {
    const gateway = both();
    const first = new NodeRoom(used, { keyName: "first" });
    expect(knock(gateway, first)).toBeUndefined();
    expect(knock(gateway, new NodeRoom(other, { keyName: "second" }))).toBe("PAIR_CODE_INVALID");
    gateway.step({ kind: "approve", requestId: "request of first", deviceId: DEVICE_ID });
    gateway.step({ kind: "done", attemptId: "first" });
    expect(gateway.ofKind("code-ended").map(({ code, reason }) => [code.kind, reason])).toEqual([
      ["ticket", "paired"],
      ["pin", "paired"],
    ]);
    expect(gateway.ofKind("window-ended")).toEqual([{ kind: "window-ended", windowId: "window", reason: "paired" }]);
    expect(isPairingOpen(gateway.state)).toBe(false);
  });

  test("gives its one place to one of two devices that prove both codes at once", () => {
    const gateway = both();
    gateway.held.add("inspect-csr");
    const nodes = [new NodeRoom(ticket, { keyName: "first" }), new NodeRoom(pin, { keyName: "second" })];
    for (const node of nodes) expect(knock(gateway, node)).toBeUndefined();
    for (const node of nodes) {
      const finding = { kind: "valid", spkiSha256: node.key, enrolment: { kind: "none" } } as const;
      gateway.step({ kind: "csr-inspected", attemptId: node.attemptId, finding });
    }
    expect(gateway.ofKind("ask").map(({ request }) => request.requestId)).toEqual(["request of first"]);
    expect(gateway.failed.get("second")?.code).toBe("PAIR_CODE_INVALID");
  });

  test("is not kept busy by somebody at the PIN: the ticket has a claim of its own", () => {
    const gateway = both();
    const squatter = new NodeRoom(pinCode("00000000"), { keyName: "squatter" });
    gateway.hello(squatter.attemptId, squatter.hello, squatter.key, "elsewhere");
    expect(knock(gateway, new NodeRoom(ticket))).toBeUndefined();
  });

  test("three wrong PINs burn the PIN and nothing else", () => {
    const gateway = both();
    for (const at of [1, 2, 3]) {
      const guess = new NodeRoom(pinCode("00000000"), { attemptId: `guess ${at}` });
      expect(knock(gateway, guess, `source ${at}`)).toBe("PAIR_CODE_INVALID");
    }
    expect(gateway.ofKind("code-ended")).toMatchObject([{ reason: "burnt", code: { kind: "pin" } }]);
    expect(gateway.ofKind("window-ended")).toEqual([]);
    expect(knock(gateway, new NodeRoom(pin, { keyName: "late" }), "other")).toBe("PAIR_CODE_INVALID");
    expect(knock(gateway, new NodeRoom(ticket))).toBeUndefined();
    expect(gateway.open(pinCode("11111111"), { windowId: "next" })).toEqual([]);
  });

  test("is burnt when both codes are", () => {
    const gateway = both();
    const wrongTicket = { ...ticket, secret: new Secret(bytesOf("wrong", 16)) };
    for (const [at, code] of [wrongTicket, pinCode("1".repeat(8))].flatMap((code) => [code, code, code]).entries()) {
      knock(gateway, new NodeRoom(code, { attemptId: `guess ${at}` }), `source ${at}`);
    }
    expect(gateway.ofKind("window-ended")).toMatchObject([{ reason: "burnt" }]);
    expect(isPairingOpen(gateway.state)).toBe(false);
  });
});

describe("a pre-approved window", () => {
  function preapproved(uses: number, more: { deviceId?: string } = {}): GatewayRoom {
    const gateway = new GatewayRoom({ limits: { sourceBurst: 100 } });
    gateway.open(ticket, { uses, preapproved: true, ...more });
    return gateway;
  }

  test("lets in as many devices as it has uses, each as a device of its own, and then nobody", () => {
    const gateway = preapproved(3);
    for (const keyName of ["a", "b", "c"]) expect(knock(gateway, named(keyName))).toBeUndefined();
    expect(gateway.ofKind("issue").map(({ deviceId, by }) => [deviceId, by])).toEqual([
      ["device of attempt of a", "window"],
      ["device of attempt of b", "window"],
      ["device of attempt of c", "window"],
    ]);
    expect(knock(gateway, named("d"))).toBe("PAIR_CODE_INVALID");
    for (const keyName of ["a", "b", "c"])
      gateway.step({ kind: "activated", deviceId: `device of attempt of ${keyName}` });
    expect(gateway.ofKind("window-ended")).toMatchObject([{ reason: "paired" }]);
    expect(knock(gateway, named("e"))).toBe("PAIR_CLOSED");
  });

  test("says that nobody is to be asked, and takes no operator's word for it afterwards", () => {
    const gateway = preapproved(2);
    knock(gateway, named("a"));
    expect(gateway.ofKind("ask")).toMatchObject([{ preapproved: true }]);
    const requestId = "request of attempt of a";
    expect(gateway.step({ kind: "approve", requestId, deviceId: DEVICE_ID })).toMatchObject([{ reason: "decided" }]);
    expect(gateway.step({ kind: "deny", requestId })).toMatchObject([{ reason: "decided" }]);
  });

  test("gives a device that comes back what it was given, and takes no second use for it", () => {
    const gateway = preapproved(2);
    knock(gateway, named("a"));
    gateway.step({ kind: "gone", attemptId: "attempt of a" });
    expect(knock(gateway, new NodeRoom(ticket, { keyName: "a", attemptId: "again" }))).toBeUndefined();
    expect(gateway.sent.get("again")?.map(({ type }) => type)).toEqual(["share", "proved", "issued"]);
    expect(gateway.ofKind("issue")).toHaveLength(1);
    expect(knock(gateway, named("b"))).toBeUndefined();
    expect(gateway.ofKind("issue")).toHaveLength(2);
  });

  describe("that was taken up after a restart", () => {
    const device = { deviceId: OTHER_DEVICE_ID, spkiSha256: named("a").key };

    /** No place is left, and the device of the last was not seen with its certificate. */
    function restarted(): GatewayRoom {
      const gateway = new GatewayRoom({ limits: { sourceBurst: 100 } });
      gateway.open(ticket, { uses: 0, preapproved: true, awaited: [device] });
      return gateway;
    }

    test("keeps that device's place for it alone", () => {
      const gateway = restarted();
      expect(knock(gateway, named("b"))).toBe("PAIR_CODE_INVALID");
      enrolment(gateway, { kind: "device", deviceId: OTHER_DEVICE_ID, frozen: false });
      expect(knock(gateway, named("a"))).toBeUndefined();
      expect(gateway.ofKind("issue")).toMatchObject([{ deviceId: OTHER_DEVICE_ID }]);
      expect(gateway.state.windows.get("window")).toMatchObject({ places: 0, awaited: [] });
      gateway.step({ kind: "done", attemptId: "attempt of a" });
      expect(gateway.ofKind("window-ended")).toMatchObject([{ reason: "paired" }]);
    });

    test("keeps it when nothing could be issued, and takes none of the others'", () => {
      const gateway = restarted();
      gateway.held.add("issue");
      knock(gateway, named("a"));
      gateway.step({ kind: "issue-failed", requestId: "request of attempt of a", revoked: false });
      expect(gateway.state.windows.get("window")).toMatchObject({ places: 0, awaited: [device], requests: [] });
      expect(knock(gateway, named("b"))).toBe("PAIR_CODE_INVALID");
      expect(knock(gateway, new NodeRoom(ticket, { keyName: "a", attemptId: "again" }))).toBeUndefined();
    });

    test("is over once the device is seen, or its own time is", () => {
      const seen = restarted();
      seen.step({ kind: "activated", deviceId: OTHER_DEVICE_ID });
      expect(seen.ofKind("window-ended")).toMatchObject([{ reason: "paired" }]);
      const late = restarted();
      late.now = gatewayPairingDeadline(late.state) ?? Number.NaN;
      late.step({ kind: "tick" });
      expect(late.ofKind("window-ended")).toMatchObject([{ reason: "expired" }]);
    });
  });

  test("never lets a revoked device in", () => {
    const gateway = preapproved(2);
    enrolment(gateway, { kind: "revoked" });
    expect(knock(gateway, named("a"))).toBe("DEVICE_REVOKED");
    expect(gateway.ofKind("issue")).toEqual([]);
    expect(gateway.state.windows.get("window")).toMatchObject({ places: 2, requests: [] });
  });

  test("asks an operator about a frozen device: its decision is not taken beforehand", () => {
    const gateway = preapproved(2);
    enrolment(gateway, { kind: "device", deviceId: OTHER_DEVICE_ID, frozen: true });
    expect(knock(gateway, named("a"))).toBeUndefined();
    expect(gateway.ofKind("ask")).toMatchObject([{ preapproved: false, request: { enrolledAs: OTHER_DEVICE_ID } }]);
    expect(gateway.ofKind("issue")).toEqual([]);
    gateway.step({ kind: "approve", requestId: "request of attempt of a", deviceId: DEVICE_ID });
    expect(gateway.ofKind("issue")).toMatchObject([{ deviceId: OTHER_DEVICE_ID, by: "operator" }]);
  });

  test("lets a known device in as itself, and into a window for a certain device nobody else's key", () => {
    const known = preapproved(1);
    enrolment(known, { kind: "device", deviceId: OTHER_DEVICE_ID, frozen: false });
    knock(known, named("a"));
    expect(known.ofKind("issue")).toMatchObject([{ deviceId: OTHER_DEVICE_ID }]);
    const certain = preapproved(1, { deviceId: DEVICE_ID });
    knock(certain, named("a"));
    expect(certain.ofKind("issue")).toMatchObject([{ deviceId: DEVICE_ID }]);
    const foreign = preapproved(1, { deviceId: DEVICE_ID });
    enrolment(foreign, { kind: "device", deviceId: OTHER_DEVICE_ID, frozen: false });
    knock(foreign, named("a"));
    expect(foreign.ofKind("issue")).toEqual([]);
    expect(foreign.ofKind("ask")).toMatchObject([{ preapproved: false }]);
  });

  test("gets a use back where nothing could be issued", () => {
    const gateway = preapproved(1);
    gateway.held.add("issue");
    knock(gateway, named("a"));
    gateway.step({ kind: "issue-failed", requestId: "request of attempt of a", revoked: false });
    expect(gateway.failed.get("attempt of a")?.code).toBe("PAIR_UNAVAILABLE");
    expect(knock(gateway, named("b"))).toBeUndefined();
    expect(gateway.ofKind("issue")).toHaveLength(2);
  });

  test("takes nobody in after its time, but ends those it has", () => {
    const gateway = preapproved(3);
    gateway.held.add("issue");
    knock(gateway, named("a"));
    gateway.now += 299_999;
    gateway.step({
      kind: "issued",
      requestId: "request of attempt of a",
      issued: { type: "issued", chain: [], deviceId: DEVICE_ID, renewAfter: NOW, addresses: [] },
    });
    gateway.now += 1;
    expect(knock(gateway, named("b"))).toBe("PAIR_CODE_INVALID");
    gateway.step({ kind: "activated", deviceId: DEVICE_ID });
    expect(gateway.ofKind("window-ended")).toMatchObject([{ reason: "expired" }]);
    expect(gatewayPairingDeadline(gateway.state)).toBeUndefined();
  });
});

describe("a code that a node shows", () => {
  const own = ownCode();

  test("opens a window for the node with that key and nobody else, and pairs it as any other", () => {
    const gateway = new GatewayRoom();
    gateway.open(own);
    expect(knock(gateway, new NodeRoom(own, { keyName: "thief", attemptId: "thief" }))).toBe("PAIR_CLOSED");
    const node = new NodeRoom(own);
    expect(knock(gateway, node)).toBeUndefined();
    expect(node.state.kind).toBe("awaiting-approval");
    expect(gateway.ofKind("ask")).toHaveLength(1);
    expect(gateway.ofKind("issue")).toEqual([]);
  });

  test("may be knocked with for as long as nobody has scanned it: that costs nothing, and looks the same whatever is open", () => {
    const closed = new GatewayRoom();
    const elsewhere = new GatewayRoom();
    elsewhere.open(ownCode("another key"));
    elsewhere.open([ticket, pin], { windowId: "other" });
    const claimed = new GatewayRoom();
    claimed.open(own);
    const first = new NodeRoom(own, { attemptId: "first" });
    claimed.hello("first", first.hello, first.key);
    for (const gateway of [closed, elsewhere, claimed]) {
      const before = gateway.state;
      for (let at = 0; at < 20; at++) {
        const node = new NodeRoom(own, { attemptId: `knock ${at}` });
        expect(gateway.hello(node.attemptId, node.hello, node.key)).toEqual([
          {
            kind: "fail",
            attemptId: node.attemptId,
            code: "PAIR_CLOSED",
            message: "no pairing window is open for this node",
            retryAfterMs: 2000,
          },
        ]);
      }
      expect(gateway.state.budget).toEqual(before.budget);
      expect(gateway.state.attempts).toEqual(before.attempts);
    }
  });

  test("is no ticket: said to be one it is unknown, and a ticket said to be a node's own is too", () => {
    const gateway = new GatewayRoom();
    gateway.open([own]);
    gateway.open([ticket], { windowId: "other" });
    const asTicket = new NodeRoom({ ...own, kind: "ticket" }, { attemptId: "as ticket" });
    expect(knock(gateway, asTicket)).toBe("PAIR_CODE_INVALID");
    const asOwn = new NodeRoom({ ...ticket, kind: "node" }, { attemptId: "as own" });
    expect(knock(gateway, asOwn)).toBe("PAIR_CLOSED");
  });

  test("is proved or not like any: a wrong secret counts, and three burn it", () => {
    const gateway = new GatewayRoom({ limits: { sourceBurst: 100 } });
    gateway.open(own);
    const wrong = { ...own, secret: new Secret(bytesOf("wrong", 16)) };
    for (const at of [1, 2, 3]) {
      expect(knock(gateway, new NodeRoom(wrong, { attemptId: `wrong ${at}` }))).toBe("PAIR_CODE_INVALID");
    }
    expect(gateway.ofKind("window-ended")).toMatchObject([{ reason: "burnt" }]);
  });
});

test("whatever order devices prove, come back, fail and finish in, a window never lets in more than it has uses", () => {
  const step = fc.record({
    what: fc.constantFrom("knock", "inspect", "issued", "issue-failed", "done", "gone", "activated", "wait"),
    device: fc.nat(4),
    code: fc.nat(1),
    right: fc.boolean(),
  });
  const schedule = fc.record({
    uses: fc.integer({ min: 1, max: 3 }),
    preapproved: fc.boolean(),
    steps: fc.array(step, { minLength: 5, maxLength: 60 }),
  });
  fc.assert(
    fc.property(schedule, ({ uses, preapproved, steps }) => {
      const gateway = new GatewayRoom({ limits: { sourceBurst: 1000, failuresPerHour: 1000, failuresPerDay: 1000 } });
      for (const kind of ["inspect-csr", "issue"] as const) gateway.held.add(kind);
      gateway.open([ticket, pin], { uses, preapproved });
      const failed = new Set<string>();
      let turn = 0;
      for (const { what, device, code, right } of steps) {
        const waiting = [...gateway.state.attempts.values()];
        const attempt = waiting[device % Math.max(1, waiting.length)];
        const requests = [...gateway.state.requests.values()];
        const request = requests[device % Math.max(1, requests.length)];
        if (what === "knock") {
          const real = code === 0 ? ticket : pin;
          const wrong = code === 0 ? { ...ticket, secret: new Secret(bytesOf("wrong", 16)) } : pinCode("99999999");
          knock(
            gateway,
            new NodeRoom(right ? real : wrong, {
              keyName: `${device}`,
              attemptId: `${turn++} of ${device}`,
              now: gateway.now,
            }),
          );
        }
        if (what === "inspect" && attempt?.kind === "inspecting") {
          const finding = {
            kind: "valid",
            spkiSha256: attempt.peer.nodeSpkiSha256,
            enrolment: { kind: "none" },
          } as const;
          gateway.step({ kind: "csr-inspected", attemptId: attempt.attemptId, finding });
          if (!preapproved && right) {
            const asked = gateway.ofKind("ask").at(-1)?.request.requestId ?? "";
            gateway.step({ kind: "approve", requestId: asked, deviceId: `device of ${asked}` });
          }
        }
        if (request?.status.kind === "approved" && what === "issued") {
          const { deviceId } = request.status;
          gateway.step({
            kind: "issued",
            requestId: request.requestId,
            issued: { type: "issued", chain: [], deviceId, renewAfter: NOW, addresses: [] },
          });
        }
        if (request?.status.kind === "approved" && what === "issue-failed") {
          failed.add(request.requestId);
          gateway.step({ kind: "issue-failed", requestId: request.requestId, revoked: false });
        }
        if (attempt !== undefined && (what === "done" || what === "gone"))
          gateway.step({ kind: what, attemptId: attempt.attemptId });
        if (request?.status.kind === "issued" && what === "activated") {
          gateway.step({ kind: "activated", deviceId: request.status.issued.deviceId });
        }
        if (what === "wait") {
          gateway.now += right ? 20_000 : 1000;
          gateway.step({ kind: "tick" });
        }
        const granted = gateway.ofKind("issue").filter(({ requestId }) => !failed.has(requestId));
        expect(granted.length).toBeLessThanOrEqual(uses);
        expect(new Set(granted.map(({ requestId }) => requestId)).size).toBe(granted.length);
        const window = gateway.state.windows.get("window");
        if (window !== undefined) {
          expect(window.places).toBeGreaterThanOrEqual(0);
          expect(window.places + granted.length).toBeLessThanOrEqual(uses);
          for (const { claims } of window.codes) expect(claims.length).toBeLessThanOrEqual(uses);
        }
        expect(gateway.ofKind("window-ended").length).toBe(window === undefined ? 1 : 0);
        // What was erased is used by nobody: a code ends once.
        const ended = gateway.ofKind("code-ended").map(({ code: { kind } }) => kind);
        expect(new Set(ended).size).toBe(ended.length);
      }
    }),
    { numRuns: 150 },
  );
});
