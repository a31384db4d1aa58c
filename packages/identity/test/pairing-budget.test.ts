import { gatewayPairingDeadline, Secret, type CodeSecret } from "@quaymesh/identity";
import { describe, expect, test } from "vitest";
import { bytesOf, GatewayRoom, knock, NodeRoom, pinCode, ticketCode } from "./pairing-room.ts";
import { DEVICE_ID, NOW } from "./support.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const code = ticketCode();
const wrong = { ...code, secret: new Secret(bytesOf("wrong", 16)) };

let serial = 0;
const wrongNode = (from = wrong): NodeRoom => new NodeRoom(from, { attemptId: `wrong ${serial++}` });
const rightNode = (from = code): NodeRoom => new NodeRoom(from, { attemptId: `right ${serial++}` });
/** Sources that never run dry, where a test is about something else. */
const sources = function* (): Generator<string, never> {
  for (let at = 0; ; at++) yield `source ${at}`;
};

function opened(options: ConstructorParameters<typeof GatewayRoom>[0] = {}, secret: CodeSecret = code): GatewayRoom {
  const gateway = new GatewayRoom(options);
  gateway.open(secret);
  return gateway;
}

describe("one answer", () => {
  /** Kinds of effects and what the node sees, in order, for one attempt. */
  function observe(gateway: GatewayRoom, node: NodeRoom): unknown {
    const before = gateway.effects.length;
    knock(gateway, node, "fresh source");
    return gateway.effects.slice(before).map((effect) => {
      if (effect.kind === "send") return [effect.kind, effect.message.type, Object.keys(effect.message)];
      if (effect.kind === "fail") return [effect.kind, effect.code, effect.message, effect.retryAfterMs];
      return effect.kind === "persist" || effect.kind === "settle" ? effect.kind : [];
    });
  }

  test("is given to a wrong secret, an unknown code, a claimed one, a proved one, a burnt one, an expired one, a closed one and a used one", () => {
    const cases: Record<string, (gateway: GatewayRoom) => NodeRoom> = {
      wrong: () => wrongNode(),
      unknown: () => rightNode(ticketCode("never opened")),
      "a PIN where there is none": () => rightNode(pinCode("12345678") as never),
      claimed: (gateway) => {
        const first = rightNode();
        gateway.hello(first.attemptId, first.hello, first.key);
        return rightNode();
      },
      "proved by another key": (gateway) => {
        knock(gateway, rightNode());
        return new NodeRoom(code, { keyName: "another", attemptId: `right ${serial++}` });
      },
      burnt: (gateway) => {
        for (const source of ["a", "b", "c"]) knock(gateway, wrongNode(), source);
        expect(gateway.ofKind("code-ended")).toMatchObject([{ reason: "burnt" }]);
        return rightNode();
      },
      expired: (gateway) => {
        gateway.now += 300_000;
        gateway.step({ kind: "tick" });
        expect(gateway.ofKind("code-ended")).toMatchObject([{ reason: "expired" }]);
        return rightNode();
      },
      closed: (gateway) => {
        gateway.step({ kind: "close", windowId: "window" });
        return rightNode();
      },
      used: (gateway) => {
        const first = rightNode();
        knock(gateway, first);
        const requestId = gateway.ofKind("ask")[0]?.request.requestId ?? "";
        gateway.step({ kind: "approve", requestId, deviceId: DEVICE_ID });
        gateway.step({ kind: "done", attemptId: first.attemptId });
        return rightNode();
      },
    };
    const seen = Object.entries(cases).map(([name, prepare]) => {
      const gateway = opened();
      // Another window keeps the endpoint open when the first is over.
      gateway.open(ticketCode("other window"), { windowId: "other", ttlMs: DAY });
      return [name, observe(gateway, prepare(gateway))];
    });
    const [, expected] = seen[0] ?? [];
    expect(expected).toMatchObject([
      ["send", "share", expect.anything()],
      "persist",
      "settle",
      ["fail", "PAIR_CODE_INVALID", "the code is not valid", undefined],
    ]);
    for (const [name, observed] of seen) expect([name, observed]).toEqual([name, expected]);
  });

  test("without any window is that pairing is closed, and nothing is computed", () => {
    const gateway = new GatewayRoom();
    const node = rightNode();
    expect(knock(gateway, node)).toBe("PAIR_CLOSED");
    expect(gateway.effects).toHaveLength(1);
  });

  test("goes to a share that is no element, before anything is claimed", () => {
    for (const ya of [new Uint8Array(32), new Uint8Array(32).fill(0xff), new Uint8Array(31)]) {
      const gateway = opened();
      const node = rightNode();
      gateway.hello(node.attemptId, { ...node.hello, ya }, node.key);
      expect(gateway.failed.get(node.attemptId)?.code).toBe("PAIR_CODE_INVALID");
      expect(gateway.code()?.status).toBe("open");
    }
  });
});

describe("a guess", () => {
  test("is on disk before it is judged", () => {
    const gateway = opened();
    gateway.held.add("persist");
    const node = rightNode();
    knock(gateway, node);
    expect(gateway.effects.map(({ kind }) => kind)).toEqual(["send", "persist"]);
    expect(gateway.ofKind("persist")).toEqual([
      {
        kind: "persist",
        attemptId: node.attemptId,
        windowId: "window",
        secret: "ticket",
        source: "192.0.2.1",
        at: NOW,
      },
    ]);
    gateway.step({ kind: "persisted", attemptId: node.attemptId });
    expect(gateway.ofKind("settle")).toEqual([{ kind: "settle", attemptId: node.attemptId, outcome: "proved" }]);
  });

  test("that could not be recorded is not judged", () => {
    const gateway = opened();
    gateway.held.add("persist");
    for (const node of [rightNode(), wrongNode()]) {
      knock(gateway, node);
      gateway.step({ kind: "persist-failed", attemptId: node.attemptId });
      expect(gateway.failed.get(node.attemptId)?.code).toBe("PAIR_UNAVAILABLE");
    }
    expect(gateway.ofKind("settle")).toEqual([]);
    expect(gateway.code()).toMatchObject({ failures: 0, status: "open" });
  });

  test("counts although its sender left before the answer, right or wrong", () => {
    for (const node of [rightNode(), wrongNode()]) {
      const gateway = opened();
      gateway.held.add("persist");
      knock(gateway, node);
      gateway.step({ kind: "gone", attemptId: node.attemptId });
      gateway.step({ kind: "persisted", attemptId: node.attemptId });
      expect(gateway.code()).toMatchObject({ failures: 1, status: "open" });
      expect(gateway.failed.size).toBe(0);
      expect(gateway.state.attempts.size).toBe(0);
    }
  });

  test("is not made by a hello alone: leaving or waiting too long gives the code back", () => {
    const gateway = opened();
    const [leaver, sleeper] = [rightNode(), rightNode()];
    gateway.hello(leaver.attemptId, leaver.hello, leaver.key, "a");
    expect(gateway.code()?.status).toBe("claimed");
    gateway.step({ kind: "gone", attemptId: leaver.attemptId });
    expect(gateway.code()).toMatchObject({ failures: 0, status: "open" });
    gateway.hello(sleeper.attemptId, sleeper.hello, sleeper.key, "a");
    expect(gatewayPairingDeadline(gateway.state)).toBe(NOW + 20_000);
    gateway.now += 20_000;
    gateway.step({ kind: "tick" });
    expect(gateway.failed.get(sleeper.attemptId)?.code).toBe("PAIR_TIMEOUT");
    expect(gateway.code()).toMatchObject({ failures: 0, status: "open" });
    sleeper.receive(gateway.sent.get(sleeper.attemptId)?.[0]);
    expect(gateway.step({ kind: "prove", attemptId: sleeper.attemptId, prove: sleeper.prove })).toEqual([]);
  });

  test("of a node that began in time may end after the code's time, and no other may begin", () => {
    const gateway = opened();
    gateway.open(ticketCode("other window"), { windowId: "other", ttlMs: DAY });
    gateway.now += 299_999;
    const node = rightNode();
    gateway.hello(node.attemptId, node.hello, node.key);
    node.receive(gateway.sent.get(node.attemptId)?.[0]);
    gateway.now += 5000;
    gateway.step({ kind: "prove", attemptId: node.attemptId, prove: node.prove });
    expect(gateway.ofKind("ask")).toHaveLength(1);
    const late = opened();
    late.now += 299_999;
    const slow = rightNode();
    late.hello(slow.attemptId, slow.hello, slow.key);
    late.now += 5000;
    late.step({ kind: "gone", attemptId: slow.attemptId });
    expect(late.ofKind("code-ended")).toMatchObject([{ reason: "expired" }]);
  });
});

describe("budgets", () => {
  test("three wrong proofs burn a code, and a right one after two does not", () => {
    const gateway = opened();
    const [next] = [sources()];
    expect(knock(gateway, wrongNode(), next.next().value)).toBe("PAIR_CODE_INVALID");
    expect(knock(gateway, wrongNode(), next.next().value)).toBe("PAIR_CODE_INVALID");
    expect(knock(gateway, rightNode(), next.next().value)).toBeUndefined();
    const burnt = opened();
    for (let at = 0; at < 3; at++) knock(burnt, wrongNode(), next.next().value);
    expect(burnt.ofKind("code-ended")).toMatchObject([{ windowId: "window", reason: "burnt" }]);
    expect(knock(burnt, rightNode(), next.next().value)).toBe("PAIR_CLOSED");
  });

  test("ten wrong PINs an hour over all windows and sources, then wait until the oldest is an hour old; tickets are let in all the while", () => {
    const gateway = new GatewayRoom({ limits: { ticketFailuresPerHour: 5 } });
    gateway.open(code, { windowId: "long", ttlMs: DAY });
    const [pin, guess] = [pinCode("12345678"), pinCode("00000000")];
    const from = sources();
    for (let at = 0; at < 10; at++) {
      // Three to a window.
      if (at % 3 === 0) gateway.open(pin, { windowId: `pin ${at}`, ttlMs: DAY });
      expect(knock(gateway, wrongNode(guess as never), from.next().value)).toBe("PAIR_CODE_INVALID");
      gateway.now += 1000;
    }
    const refused = rightNode(pin as never);
    expect(knock(gateway, refused, from.next().value)).toBe("PAIR_RATE_LIMITED");
    expect(gateway.failed.get(refused.attemptId)?.retryAfterMs).toBe(HOUR - 10_000);
    expect(knock(gateway, rightNode(), from.next().value)).toBeUndefined();
    gateway.now += HOUR - 10_001;
    expect(knock(gateway, rightNode(pin as never), from.next().value)).toBe("PAIR_RATE_LIMITED");
    gateway.now += 1;
    expect(knock(gateway, rightNode(pin as never), from.next().value)).toBeUndefined();
  });

  test("tickets have a budget of their own, which keeps no PIN out", () => {
    const gateway = new GatewayRoom({ limits: { ticketFailuresPerHour: 12 } });
    const from = sources();
    gateway.open(code, { windowId: "long", ttlMs: DAY });
    gateway.open(pinCode("12345678"), { windowId: "pin" });
    for (let at = 0; at < 12; at++) {
      const target = ticketCode(`target ${Math.floor(at / 3)}`);
      if (at % 3 === 0) gateway.open(target, { windowId: `target ${at}` });
      knock(gateway, wrongNode({ ...target, secret: wrong.secret }), from.next().value);
    }
    expect(knock(gateway, rightNode(), from.next().value)).toBe("PAIR_RATE_LIMITED");
    expect(knock(gateway, rightNode(pinCode("12345678") as never), from.next().value)).toBeUndefined();
  });

  test("what cannot be a guess holds up nobody else: proofs for codes that nobody opened, that another holds, and for a PIN where there is none", () => {
    const gateway = opened();
    const from = sources();
    const claimed = ticketCode("claimed");
    gateway.open(claimed, { windowId: "claimed" });
    const holder = rightNode(claimed);
    gateway.hello(holder.attemptId, holder.hello, holder.key, from.next().value);
    for (let at = 0; at < 60; at++) {
      const aims = [ticketCode(`unknown ${at}`), claimed, pinCode("12345678") as never];
      expect(knock(gateway, wrongNode(aims[at % 3]), from.next().value)).toBe("PAIR_CODE_INVALID");
    }
    expect(gateway.state.budget.failedAt).toEqual({ pin: [], ticket: [] });
    // They are on disk all the same, as every attempt.
    expect(gateway.ofKind("persist")).toHaveLength(60);
    expect(gateway.ofKind("persist").every(({ windowId }) => windowId === undefined)).toBe(true);
    expect(knock(gateway, rightNode(), from.next().value)).toBeUndefined();
  });

  test("fifty a day, and a restart gives none back, of either budget", () => {
    const pin = pinCode("12345678");
    const right = (): NodeRoom => rightNode(pin as never);
    const fifty = Array.from({ length: 50 }, (_, at) => NOW - DAY + 1 + at * 1000);
    const gateway = opened({ failedAt: { pin: fifty } }, pin);
    const refused = right();
    expect(knock(gateway, refused, "a")).toBe("PAIR_RATE_LIMITED");
    expect(gateway.failed.get(refused.attemptId)?.retryAfterMs).toBe(1);
    gateway.now += 1;
    expect(knock(gateway, right(), "b")).toBeUndefined();
    const nine = Array.from({ length: 9 }, () => NOW - 1);
    expect(knock(opened({ failedAt: { pin: [NOW - HOUR + 1, ...nine] } }, pin), right())).toBe("PAIR_RATE_LIMITED");
    expect(knock(opened({ failedAt: { pin: nine } }, pin), right())).toBeUndefined();
    expect(knock(opened({ failedAt: { pin: fifty } }), rightNode())).toBeUndefined();
    const limits = { ticketFailuresPerHour: 2 };
    expect(knock(opened({ limits, failedAt: { ticket: [NOW - 2, NOW - 1] } }), rightNode())).toBe("PAIR_RATE_LIMITED");
    expect(knock(opened({ limits, failedAt: { ticket: [NOW - 1] } }), rightNode())).toBeUndefined();
  });

  test("a source has three tries that lead nowhere, gets one back in a quarter of an hour, and does not use up the others'", () => {
    const gateway = new GatewayRoom();
    gateway.open(code, { windowId: "long", ttlMs: DAY });
    for (let at = 0; at < 3; at++) {
      const node = rightNode();
      gateway.hello(node.attemptId, node.hello, node.key, "noisy");
      gateway.step({ kind: "gone", attemptId: node.attemptId });
    }
    const refused = rightNode();
    expect(knock(gateway, refused, "noisy")).toBe("PAIR_RATE_LIMITED");
    expect(gateway.failed.get(refused.attemptId)?.retryAfterMs).toBe(900_000);
    gateway.now += 900_000;
    expect(knock(gateway, wrongNode(), "noisy")).toBe("PAIR_CODE_INVALID");
    expect(knock(gateway, rightNode(), "noisy")).toBe("PAIR_RATE_LIMITED");
    expect(knock(gateway, rightNode(), "quiet")).toBeUndefined();
  });

  test("a source that pairs devices is never held up", () => {
    const gateway = new GatewayRoom();
    for (let at = 0; at < 12; at++) {
      const own = ticketCode(`device ${at}`);
      gateway.open(own, { windowId: `window ${at}` });
      expect(knock(gateway, rightNode(own), "192.0.2.1")).toBeUndefined();
    }
  });

  test("eight half-open attempts, then others wait; an answered one makes room", () => {
    const gateway = opened();
    const nodes = Array.from({ length: 8 }, () => rightNode());
    for (const [at, node] of nodes.entries()) gateway.hello(node.attemptId, node.hello, node.key, `source ${at}`);
    expect(gateway.failed.size).toBe(0);
    const refused = rightNode();
    expect(knock(gateway, refused, "late")).toBe("PAIR_RATE_LIMITED");
    expect(gateway.failed.get(refused.attemptId)?.retryAfterMs).toBe(20_000);
    gateway.step({ kind: "gone", attemptId: nodes[3]?.attemptId ?? "" });
    expect(knock(gateway, rightNode(), "late")).toBe("PAIR_CODE_INVALID");
  });

  test("as many pending requests as allowed, also when proofs race past the limit", () => {
    const gateway = new GatewayRoom({ limits: { pending: 2 } });
    const codes = ["a", "b", "c"].map((label) => ticketCode(label));
    for (const [at, own] of codes.entries()) gateway.open(own, { windowId: `window ${at}` });
    const nodes = codes.map((own) => rightNode(own));
    for (const [at, node] of nodes.entries()) {
      gateway.hello(node.attemptId, node.hello, node.key, `source ${at}`);
      node.receive(gateway.sent.get(node.attemptId)?.[0]);
    }
    for (const node of nodes) gateway.step({ kind: "prove", attemptId: node.attemptId, prove: node.prove });
    expect(nodes.map((node) => gateway.failed.get(node.attemptId)?.code)).toEqual([
      undefined,
      undefined,
      "PAIR_RATE_LIMITED",
    ]);
    expect(gateway.code("window 2")).toMatchObject({ failures: 0, status: "open" });
    expect(knock(gateway, rightNode(codes[2]), "later")).toBe("PAIR_RATE_LIMITED");
    gateway.step({ kind: "deny", requestId: gateway.ofKind("ask")[0]?.request.requestId ?? "" });
    expect(knock(gateway, rightNode(codes[2]), "later")).toBeUndefined();
  });

  test("the memory of sources is bounded", () => {
    const gateway = new GatewayRoom({ limits: { halfOpen: 1e6, failuresPerHour: 1e6, failuresPerDay: 1e6 } });
    gateway.open(code);
    const node = rightNode();
    for (let at = 0; at < 1030; at++) {
      gateway.hello("same", { ...node.hello, ya: new Uint8Array(32) }, node.key, `source ${at}`);
    }
    expect(gateway.state.budget.sources.size).toBe(1024);
  });
});
