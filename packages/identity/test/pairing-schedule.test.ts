import * as fc from "fast-check";
import { Secret, type GatewayPairingEffect } from "@quaymesh/identity";
import { expect, test } from "vitest";
import { bytesOf, GatewayRoom, issuedFor, NodeRoom, ticketCode } from "./pairing-room.ts";

const HOUR = 3_600_000;
const LIMITS = { halfOpen: 3, pending: 2, sourceBurst: 100, ticketFailuresPerHour: 6 };
const CODES = ["a", "b"].map((label) => ticketCode(label));
const KEYS = ["first key", "second key"];

const action = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("hello"), code: fc.nat(1), key: fc.nat(1), right: fc.boolean() }),
  },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("advance"), which: fc.nat(5) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom("gone", "done", "persist-failed", "open", "close", "deny", "issue-failed"),
      which: fc.nat(5),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("approve"), which: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("wait"), ms: fc.constantFrom(1000, 20_000, 300_000, HOUR) }) },
);

/** Drives a gateway by hand: no effect is answered unless an action says so. */
class Schedule {
  readonly gateway = new GatewayRoom({ limits: LIMITS });
  readonly nodes: NodeRoom[] = [];
  readonly proofs = new Set<string>();
  windows = 0;

  constructor() {
    for (const kind of ["persist", "inspect-csr", "issue"] as const) this.gateway.held.add(kind);
    this.#open(0);
    this.#open(1);
  }

  run(step: { kind: string; code?: number; key?: number; right?: boolean; which?: number; ms?: number }): void {
    const { gateway, nodes } = this;
    const node = nodes[(step.which ?? 0) % Math.max(1, nodes.length)];
    const attemptId = node?.attemptId ?? "nobody";
    const requests = [...gateway.state.requests.keys()];
    const requestId = requests[(step.which ?? 0) % Math.max(1, requests.length)] ?? "none";
    if (step.kind === "hello") this.#hello(step.code ?? 0, KEYS[step.key ?? 0] ?? "", step.right ?? false);
    if (step.kind === "advance" && node !== undefined) this.#advance(node);
    if (step.kind === "gone" || step.kind === "done" || step.kind === "persist-failed")
      gateway.step({ kind: step.kind, attemptId });
    if (step.kind === "approve") gateway.step({ kind: "approve", requestId, deviceId: requestId });
    if (step.kind === "deny") gateway.step({ kind: step.kind, requestId });
    if (step.kind === "issue-failed") gateway.step({ kind: step.kind, requestId, revoked: false });
    if (step.kind === "open") this.#open((step.which ?? 0) % 2);
    if (step.kind === "close") gateway.step({ kind: "close", windowId: `${(step.which ?? 0) % this.windows}` });
    if (step.kind === "wait") {
      gateway.now += step.ms ?? 0;
      gateway.step({ kind: "tick" });
    }
  }

  #open(code: number): void {
    const secret = CODES[code];
    if (secret !== undefined) this.gateway.open(secret, { windowId: `${this.windows++}`, ttlMs: 2 * HOUR });
  }

  #hello(code: number, keyName: string, right: boolean): void {
    const real = CODES[code] ?? ticketCode("none");
    const used = right ? real : { ...real, secret: new Secret(bytesOf("wrong", 16)) };
    const node = new NodeRoom(used, {
      keyName,
      attemptId: `${this.nodes.length} ${right ? "right" : "wrong"}`,
      now: this.gateway.now,
    });
    this.nodes.push(node);
    this.gateway.hello(node.attemptId, node.hello, node.key, keyName);
  }

  /** Whatever comes next for this node, on whichever side. */
  #advance(node: NodeRoom): void {
    const { gateway } = this;
    const { attemptId } = node;
    const attempt = gateway.state.attempts.get(attemptId);
    if (attempt?.kind === "proving") {
      node.now = gateway.now;
      if (node.state.kind === "awaiting-share") node.receive(gateway.sent.get(attemptId)?.[0]);
      gateway.step({ kind: "prove", attemptId, prove: node.prove });
    } else if (attempt?.kind === "persisting") {
      this.proofs.add(attemptId);
      gateway.step({ kind: "persisted", attemptId });
    } else if (attempt?.kind === "inspecting") {
      gateway.step({
        kind: "csr-inspected",
        attemptId,
        finding: { kind: "valid", spkiSha256: node.key, enrolment: { kind: "none" } },
      });
    } else if (attempt?.kind === "waiting") {
      gateway.step({ kind: "issued", requestId: attempt.requestId, issued: issuedFor() });
    }
  }
}

/** What must hold of everything a gateway did, whatever happened to it. */
function check({ gateway, proofs }: Schedule, effects: readonly GatewayPairingEffect[]): void {
  const ended = new Set<string>();
  const asked = new Set<string>();
  const keyOfWindow = new Map<string, string>();
  for (const effect of effects) {
    if (effect.kind === "send" || effect.kind === "inspect-csr") expect(ended.has(effect.attemptId)).toBe(false);
    if (effect.kind === "fail") {
      expect(ended.has(effect.attemptId)).toBe(false);
      ended.add(effect.attemptId);
    }
    if (effect.kind === "settle") {
      expect(proofs.has(effect.attemptId)).toBe(true);
      if (effect.attemptId.endsWith("wrong")) expect(effect.outcome).toBe("failed");
    }
    if (effect.kind === "inspect-csr") expect(effect.attemptId.endsWith("right")).toBe(true);
    if (effect.kind === "ask") asked.add(effect.request.requestId);
    if (effect.kind === "issue") {
      expect(asked.has(effect.requestId)).toBe(true);
      expect(effect.deviceId).toBe(effect.requestId);
    }
    if (effect.kind === "send" && effect.message.type === "issued") {
      const attempt = [...effects].find(
        (other) => other.kind === "send" && other.attemptId === effect.attemptId && other.message.type === "proved",
      );
      expect(attempt).toBeDefined();
    }
  }
  for (const request of gateway.state.requests.values()) {
    const key = Buffer.from(request.spkiSha256).toString("hex");
    expect(keyOfWindow.get(request.windowId) ?? key).toBe(key);
    keyOfWindow.set(request.windowId, key);
  }
}

test("whatever comes in whatever order, a guess costs, a limit holds, a stream ends once and nothing is issued unasked", () => {
  fc.assert(
    fc.property(fc.array(action, { minLength: 10, maxLength: 40 }), (steps) => {
      const schedule = new Schedule();
      const { gateway } = schedule;
      for (const step of steps) {
        schedule.run(step);
        const { attempts, requests, windows, budget } = gateway.state;
        expect([...attempts.values()].filter(({ kind }) => kind !== "waiting").length).toBeLessThanOrEqual(
          LIMITS.halfOpen,
        );
        expect([...requests.values()].filter(({ status }) => status.kind === "pending").length).toBeLessThanOrEqual(
          LIMITS.pending,
        );
        for (const { windowId, codes, places, requests: within } of windows.values()) {
          expect(codes.length).toBeGreaterThan(0);
          expect(places).toBeGreaterThanOrEqual(0);
          expect(places > 0 || within.length > 0).toBe(true);
          for (const requestId of within) expect(requests.get(requestId)?.windowId).toBe(windowId);
          for (const { failures, claims } of codes) {
            expect(failures).toBeLessThan(3);
            expect(new Set(claims).size).toBe(claims.length);
            for (const attemptId of claims) expect(attempts.get(attemptId)).toMatchObject({ windowId });
          }
        }
        for (const request of requests.values()) {
          if (request.attemptId !== undefined)
            expect(attempts.get(request.attemptId)).toMatchObject({ kind: "waiting", requestId: request.requestId });
        }
        for (const attempt of attempts.values()) {
          if (attempt.kind === "waiting") expect(requests.get(attempt.requestId)?.attemptId).toBe(attempt.attemptId);
        }
        const lastHour = budget.failedAt.ticket.filter((at) => gateway.now - at < HOUR);
        expect(lastHour.length).toBeLessThanOrEqual(LIMITS.ticketFailuresPerHour + LIMITS.halfOpen);
      }
      check(schedule, gateway.effects);
    }),
    { numRuns: 60 },
  );
});
