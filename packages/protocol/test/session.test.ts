import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  BACKOFF_LIMITS,
  backoffMs,
  BUSY_HEARTBEAT_MS,
  CLOSE_CODES,
  HELLO_TIMEOUT_MS,
  openGatewaySession,
  openNodeSession,
  planRedial,
  presenceOf,
  stepGatewaySession,
  stepNodeSession,
  WELCOME_TIMEOUT_MS,
  type DialVerdict,
  type GatewaySession,
  type GatewaySessionInput,
  type Hello,
  type NodeSession,
  type NodeSessionInput,
  type Welcome,
} from "@quaymesh/protocol";

const DEVICE = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const TASK = "01BX5ZZKBKACTAV9WEVGEMMVRZ";

const hello: Hello = {
  v: 1,
  method: "session.open",
  device: DEVICE,
  nonce: new Uint8Array(16),
  outboxEpoch: new Uint8Array(16).fill(1),
  software: "test/1",
  platform: { os: "linux", arch: "x64" },
  capabilities: [{ name: "files.digest" }],
  policyVersion: 3,
};
const welcome: Welcome = {
  type: "welcome",
  sessionEpoch: 7,
  mesh: "harbor",
  heartbeatMs: 30_000,
  ackedSeq: 0,
  policyVersion: 3,
  limits: { maxFrameBytes: 524_288, maxBatchEvents: 256, maxEventBytes: 65_536 },
  time: 1_763_633_142_784,
};
const running = [{ taskId: TASK, token: 4 }];

function gateway(start: GatewaySession, ...inputs: GatewaySessionInput[]) {
  let step: ReturnType<typeof stepGatewaySession> = { state: start, effects: [] };
  for (const input of inputs) step = stepGatewaySession(step.state, input);
  return step;
}

function node(start: NodeSession, ...inputs: NodeSessionInput[]) {
  let step: ReturnType<typeof stepNodeSession> = { state: start, effects: [] };
  for (const input of inputs) step = stepNodeSession(step.state, input);
  return step;
}

const { type: _type, ...welcomeFields } = welcome;
const opened = (now = 0) =>
  gateway(
    openGatewaySession(DEVICE, now).state,
    { kind: "hello", hello, now },
    { kind: "registered", welcome: welcomeFields, now },
  );
const heartbeat = (seq: number, now: number): GatewaySessionInput => ({
  kind: "message",
  message: { type: "heartbeat", seq, load: 0.5, running },
  now,
});
const greeted = (now = 0) => node(openNodeSession(hello, now).state, { kind: "message", message: welcome, now });
const tick = (now: number, attempts: typeof running = []): NodeSessionInput => ({
  kind: "tick",
  load: 0.25,
  running: attempts,
  now,
});
const closeCode = (code: number) => expect.objectContaining({ kind: "close", code });

describe("gateway session", () => {
  it("registers a hello, and is online only once welcome is sent", () => {
    const start = openGatewaySession(DEVICE, 0);
    expect(presenceOf(start.state, 0)).toEqual({ kind: "connecting" });
    const registering = gateway(start.state, { kind: "hello", hello, now: 5 });
    expect(registering.effects).toEqual([{ kind: "register", hello }]);
    expect(presenceOf(registering.state, 5)).toEqual({ kind: "connecting" });
    const open = gateway(registering.state, { kind: "registered", welcome: welcomeFields, now: 9 });
    expect(open.effects.slice(0, 2)).toEqual([{ kind: "send", message: welcome }, { kind: "online" }]);
    expect(presenceOf(open.state, 9)).toEqual({ kind: "online", since: 9, lastHeardAt: 9, draining: false });
  });

  it("refuses a hello with the outbox epoch that is the gateway's own", () => {
    const forged = { ...hello, outboxEpoch: new Uint8Array(16) };
    const { state, effects } = gateway(openGatewaySession(DEVICE, 0).state, { kind: "hello", hello: forged, now: 1 });
    expect(effects).toEqual([
      expect.objectContaining({ kind: "fail", code: "STATE_INVALID" }),
      closeCode(CLOSE_CODES.protocol),
    ]);
    expect(state).toMatchObject({ kind: "closed", wasOnline: false });
  });

  it("refuses a hello of another device than the certificate's", () => {
    const { state, effects } = gateway(openGatewaySession(TASK, 0).state, { kind: "hello", hello, now: 1 });
    expect(effects).toEqual([
      expect.objectContaining({ kind: "fail", code: "DEVICE_MISMATCH" }),
      closeCode(CLOSE_CODES.protocol),
    ]);
    expect(state).toMatchObject({ kind: "closed", end: "device-mismatch", wasOnline: false });
  });

  it("gives up on a peer that never says hello", () => {
    const { state } = openGatewaySession(DEVICE, 100);
    expect(gateway(state, { kind: "tick", now: 99 + HELLO_TIMEOUT_MS }).state.kind).toBe("opening");
    expect(gateway(state, { kind: "tick", now: 100 + HELLO_TIMEOUT_MS }).effects).toEqual([
      closeCode(CLOSE_CODES.timeout),
    ]);
  });

  it("renews leases by heartbeat and answers what the store decided", () => {
    const beat = gateway(opened().state, heartbeat(1, 30_000));
    expect(beat.effects).toContainEqual({ kind: "renew-leases", seq: 1, running });
    const fenced = [{ taskId: TASK, token: 4 }];
    expect(gateway(beat.state, { kind: "leases-renewed", seq: 1, leaseMs: 30_000, fenced }).effects).toEqual([
      { kind: "send", message: { type: "heartbeat.ack", seq: 1, leaseMs: 30_000, fenced } },
    ]);
    expect(beat.state).toMatchObject({ load: 0.5, running, lastHeardAt: 30_000 });
  });

  it("asks after two missed heartbeats and gives up after the third, and presence says the same without a timer", () => {
    const open = opened(1000);
    expect(open.effects).toContainEqual({ kind: "schedule", at: 61_000 });
    const asked = gateway(open.state, { kind: "tick", now: 61_000 });
    expect(asked.effects).toEqual([
      { kind: "send", message: { type: "ping", id: 61_000 } },
      { kind: "schedule", at: 91_000 },
    ]);
    expect(presenceOf(asked.state, 90_999).kind).toBe("online");
    expect(presenceOf(asked.state, 91_000)).toEqual({ kind: "offline", since: 91_000, end: "silent" });
    const gone = gateway(asked.state, { kind: "tick", now: 91_000 });
    expect(gone.effects).toEqual([closeCode(CLOSE_CODES.timeout), { kind: "offline", end: "silent" }]);
    expect(presenceOf(gone.state, 91_000)).toEqual({ kind: "offline", since: 91_000, end: "silent" });
    const answered = gateway(asked.state, { kind: "message", message: { type: "pong", id: 61_000 }, now: 62_000 });
    expect(gateway(answered.state, { kind: "tick", now: 91_000 }).state.kind).toBe("open");
  });

  it("pushes a policy once, newer ones only, and believes only versions it sent", () => {
    const open = opened().state;
    expect(gateway(open, { kind: "policy", version: 3, policy: {} }).effects).toEqual([]);
    const pushed = gateway(open, { kind: "policy", version: 4, policy: { a: 1 } });
    expect(pushed.effects).toEqual([{ kind: "send", message: { type: "policy", version: 4, policy: { a: 1 } } }]);
    expect(gateway(pushed.state, { kind: "policy", version: 4, policy: { a: 2 } }).effects).toEqual([]);
    const applied = (version: number): GatewaySessionInput => ({
      kind: "message",
      message: { type: "policy.applied", version },
      now: 1,
    });
    expect(gateway(pushed.state, applied(5)).effects).toEqual([]);
    expect(gateway(pushed.state, applied(4)).effects).toEqual([{ kind: "policy-applied", version: 4 }]);
  });

  it.each<[GatewaySessionInput, string, number | undefined]>([
    [{ kind: "supersede", now: 5 }, "superseded", CLOSE_CODES.superseded],
    [{ kind: "stop", now: 5 }, "drained", CLOSE_CODES.draining],
    [{ kind: "lost", now: 5 }, "lost", undefined],
    [{ kind: "message", message: { type: "bye", reason: "" }, now: 5 }, "left", undefined],
    [{ kind: "hello", hello, now: 5 }, "out-of-order", CLOSE_CODES.protocol],
  ])("ends by %o", (input, end, code) => {
    const { state, effects } = gateway(opened().state, input);
    expect(effects).toContainEqual({ kind: "offline", end });
    expect(effects.some((effect) => effect.kind === "close" && effect.code === code)).toBe(code !== undefined);
    expect(presenceOf(state, 9)).toEqual({ kind: "offline", since: 5, end });
    expect(gateway(state, heartbeat(1, 6), { kind: "tick", now: 10 ** 9 })).toEqual({ state, effects: [] });
  });

  it("tells an open session that it is revoked before it closes; a session that is not open yet just closes", () => {
    const revoke: GatewaySessionInput = { kind: "revoke", epoch: 118, reason: "sold", now: 5 };
    expect(gateway(opened().state, revoke).effects).toEqual([
      { kind: "send", message: { type: "revoked", epoch: 118, reason: "sold" } },
      closeCode(CLOSE_CODES.revoked),
      { kind: "offline", end: "revoked" },
    ]);
    const registering = gateway(openGatewaySession(DEVICE, 0).state, { kind: "hello", hello, now: 1 }, revoke);
    expect(registering.effects).toEqual([closeCode(CLOSE_CODES.revoked)]);
    expect(gateway(registering.state, { kind: "registered", welcome: welcomeFields, now: 9 }).effects).toEqual([]);
  });

  it("announces a drain and goes on", () => {
    const drained = gateway(opened().state, { kind: "drain", retryAfterMs: 2000 });
    expect(drained.effects).toEqual([{ kind: "send", message: { type: "drain", retryAfterMs: 2000 } }]);
    expect(presenceOf(drained.state, 1)).toMatchObject({ kind: "online", draining: true });
  });
});

describe("node session", () => {
  it("greets, and is online from welcome", () => {
    const start = openNodeSession(hello, 0);
    expect(start.effects).toEqual([
      { kind: "send", message: hello },
      { kind: "schedule", at: WELCOME_TIMEOUT_MS },
    ]);
    expect(node(start.state, { kind: "message", message: welcome, now: 4 }).effects).toEqual([
      { kind: "online", welcome },
      { kind: "schedule", at: 30_004 },
    ]);
  });

  it("gives up on a gateway that never welcomes", () => {
    const { state } = openNodeSession(hello, 0);
    expect(node(state, tick(WELCOME_TIMEOUT_MS)).effects).toEqual([{ kind: "stop", stop: { kind: "no-welcome" } }]);
  });

  it("beats every 30 s, every 10 s while attempts run, and at once when the first starts late", () => {
    const idle = greeted();
    expect(node(idle.state, tick(29_999)).effects).toEqual([{ kind: "schedule", at: 30_000 }]);
    expect(node(idle.state, tick(30_000)).effects).toEqual([
      { kind: "send", message: { type: "heartbeat", seq: 1, load: 0.25, running: [] } },
      { kind: "schedule", at: 60_000 },
    ]);
    const busy = node(idle.state, tick(2000, running));
    expect(busy.effects).toEqual([{ kind: "schedule", at: BUSY_HEARTBEAT_MS }]);
    expect(node(idle.state, tick(25_000, running)).effects[0]).toMatchObject({
      message: { type: "heartbeat", running },
    });
    expect(node(busy.state, tick(10_000, running)).effects[1]).toEqual({ kind: "schedule", at: 20_000 });
  });

  it("counts a lease from when its heartbeat was sent, not from when the answer came", () => {
    const beat = node(greeted().state, tick(10_000, running), tick(10_001, running));
    const answer = (seq: number): NodeSessionInput => ({
      kind: "message",
      message: { type: "heartbeat.ack", seq, leaseMs: 30_000, fenced: [] },
      now: 10_500,
    });
    expect(node(beat.state, answer(1)).effects).toEqual([
      { kind: "leases", leaseMs: 30_000, heartbeatAt: 10_000, fenced: [] },
    ]);
    expect(node(beat.state, answer(0)).effects).toEqual([]);
  });

  it("notices a gateway that has gone silent, and no sooner", () => {
    let { state } = greeted();
    for (let now = 30_000; now < 90_000; now += 30_000) state = node(state, tick(now)).state;
    expect(state.kind).toBe("online");
    expect(
      node(state, { kind: "message", message: { type: "ping", id: 1 }, now: 80_000 }, tick(90_000)).state.kind,
    ).toBe("online");
    expect(node(state, tick(90_000)).effects).toEqual([{ kind: "stop", stop: { kind: "silent" } }]);
  });

  it("answers a ping, applies newer policies only, follows the interval", () => {
    const { state } = greeted();
    expect(node(state, { kind: "message", message: { type: "ping", id: 9 }, now: 1 }).effects).toEqual([
      { kind: "send", message: { type: "pong", id: 9 } },
    ]);
    const policy = (version: number): NodeSessionInput => ({
      kind: "message",
      message: { type: "policy", version, policy: {} },
      now: 1,
    });
    expect(node(state, policy(3)).effects).toEqual([]);
    const applied = node(state, policy(4));
    expect(applied.effects).toEqual([{ kind: "apply-policy", version: 4, policy: {} }]);
    expect(node(applied.state, policy(4)).effects).toEqual([]);
    expect(node(applied.state, { kind: "policy-applied", version: 4 }).effects).toEqual([
      { kind: "send", message: { type: "policy.applied", version: 4 } },
    ]);
    const config: NodeSessionInput = { kind: "message", message: { type: "config", heartbeatMs: 5000 }, now: 1 };
    expect(node(state, config).effects).toEqual([{ kind: "schedule", at: 5000 }]);
  });

  it.each<[NodeSessionInput[], object]>([
    [[{ kind: "lost" }], { kind: "lost" }],
    [
      [{ kind: "message", message: { type: "drain", retryAfterMs: 9 }, now: 1 }, { kind: "lost" }],
      { kind: "drained", retryAfterMs: 9 },
    ],
    [
      [{ kind: "message", message: { type: "revoked", epoch: 4, reason: "sold" }, now: 1 }],
      { kind: "revoked", epoch: 4, reason: "sold" },
    ],
    [[{ kind: "message", message: welcome, now: 1 }], { kind: "protocol", what: "a second welcome" }],
    [[{ kind: "leave", reason: "stopping" }], { kind: "left" }],
  ])("stops after %o", (inputs, stop) => {
    const { state, effects } = node(greeted().state, ...inputs);
    expect(effects.at(-1)).toEqual({ kind: "stop", stop });
    expect(node(state, tick(10 ** 9), { kind: "lost" })).toEqual({ state, effects: [] });
  });

  it("a gateway that speaks before its welcome breaks the protocol; one that revokes does not", () => {
    const { state } = openNodeSession(hello, 0);
    expect(node(state, { kind: "message", message: { type: "ping", id: 1 }, now: 1 }).effects).toMatchObject([
      { kind: "stop", stop: { kind: "protocol" } },
    ]);
    expect(
      node(state, { kind: "message", message: { type: "revoked", epoch: 1, reason: "" }, now: 1 }).effects,
    ).toMatchObject([{ kind: "stop", stop: { kind: "revoked" } }]);
  });
});

describe("both sides over a path with delay", () => {
  it("stay together while the path is, whatever its delay, and part within three heartbeats once it is cut", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4000 }),
        fc.integer({ min: 0, max: 200_000 }),
        fc.boolean(),
        (delayMs, cutAt, busy) => {
          const attempts = busy ? running : [];
          let near = greeted().state;
          let far = opened().state;
          const mail: { at: number; to: "near" | "far"; input: unknown }[] = [];
          for (let now = 0; now <= cutAt + 91_000 + delayMs; now += 500) {
            for (const { to, input } of mail.filter(({ at }) => at > now - 500 && at <= now)) {
              if (to === "far") step("far", { kind: "message", message: input, now } as GatewaySessionInput);
              else step("near", { kind: "message", message: input, now } as NodeSessionInput);
            }
            step("near", tick(now, attempts));
            step("far", { kind: "tick", now });
            if (now < cutAt) {
              expect(near.kind).toBe("online");
              expect(presenceOf(far, now).kind).toBe("online");
            }
            function step(side: "near" | "far", input: GatewaySessionInput | NodeSessionInput): void {
              const done =
                side === "near" ? node(near, input as NodeSessionInput) : gateway(far, input as GatewaySessionInput);
              if (side === "near") near = done.state as NodeSession;
              else far = done.state as GatewaySession;
              for (const effect of done.effects) {
                if (effect.kind === "renew-leases")
                  step("far", { kind: "leases-renewed", seq: effect.seq, leaseMs: 30_000, fenced: [] });
                if (effect.kind === "send" && now < cutAt) {
                  mail.push({ at: now + delayMs, to: side === "near" ? "far" : "near", input: effect.message });
                }
              }
            }
          }
          expect(near.kind).toBe("stopped");
          expect(far.kind).toBe("closed");
        },
      ),
      { numRuns: 30 },
    );
  });
});

describe("backoff", () => {
  it("stays within a window that doubles up to the cap", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2000 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (attempt, random) => {
          const wait = backoffMs(attempt, random);
          expect(wait).toBeGreaterThanOrEqual(0);
          expect(wait).toBeLessThanOrEqual(Math.min(BACKOFF_LIMITS.capMs, BACKOFF_LIMITS.baseMs * 2 ** (attempt - 1)));
          expect(backoffMs(attempt, random, 5000)).toBe(wait + 5000);
        },
      ),
    );
    expect([1, 2, 3, 8, 2000].map((attempt) => backoffMs(attempt, 0.5))).toEqual([250, 500, 1000, 30_000, 30_000]);
  });

  it.each<[DialVerdict, object]>([
    ["revoked", { kind: "stop", reason: "revoked" }],
    ["unknown", { kind: "stop", reason: "unknown" }],
    ["expired", { kind: "retry", afterMs: 250 }],
    ["untrusted", { kind: "stop", reason: "untrusted" }],
    ["wrong-protocol", { kind: "stop", reason: "wrong-protocol" }],
    ["busy", { kind: "retry", afterMs: 250 }],
    ["denied", { kind: "retry", afterMs: 250 }],
    ["other", { kind: "retry", afterMs: 250 }],
    ["superseded", { kind: "retry", afterMs: 60_250 }],
    ["frozen", { kind: "retry", afterMs: 60_250 }],
  ])("after %s", (verdict, plan) => {
    expect(planRedial(verdict, 1, 0.5)).toEqual(plan);
  });

  it("waits as long as a draining gateway asks, and spreads beyond that", () => {
    expect(planRedial("draining", 1, 0, { retryAfterMs: 3000 })).toEqual({ kind: "retry", afterMs: 3000 });
    expect(planRedial("draining", 1, 0.5, { retryAfterMs: 3000 })).toEqual({ kind: "retry", afterMs: 3250 });
  });
});
