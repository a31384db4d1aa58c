import { describe, expect, it } from "vitest";
import {
  encodeCbor,
  errorFrameOf,
  GATEWAY_METHODS,
  MAX_BATCH_EVENTS,
  MAX_RUNNING_ATTEMPTS,
  NODE_METHODS,
  PAIRING_METHODS,
  parseGatewayControl,
  parseNodeControl,
  parsePublishMessage,
  parsePublishReply,
  parseRequest,
  parseSubscriptionMessage,
  parseTaskEvent,
  ProtocolError,
  RemoteError,
} from "@quaymesh/protocol";
import { PARSERS, parseVector, vectors } from "./message-vectors.ts";
import { fromHex, fromJson, toHex } from "./vectors.ts";

function errorOf(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error("expected an error, and nothing was thrown");
}

describe("messages", () => {
  it.each(vectors.messages)("$name parses", (vector) => {
    expect(parseVector(vector)).toEqual(fromJson(vector.value));
  });

  it.each(vectors.messages)("$name is written as in the vectors", ({ value, hex }) => {
    expect(toHex(encodeCbor(fromJson(value)))).toBe(hex);
  });

  it.each(vectors.unknown)("ignores $name", (vector) => {
    expect(parseVector(vector)).toBeUndefined();
  });

  it.each(vectors.rejected)("refuses $name with $code", (vector) => {
    const error = errorOf(() => parseVector(vector));
    expect(error).toBeInstanceOf(ProtocolError);
    expect(error).toMatchObject({ code: vector.code });
  });

  it("has a vector for every stream, direction and method", () => {
    const seen = new Set(
      vectors.messages.filter(({ request }) => request !== true).map(({ stream, from }) => `${stream} from ${from}`),
    );
    expect([...seen].toSorted()).toEqual(Object.keys(PARSERS).toSorted());
    const methods = new Set(vectors.messages.filter(({ request }) => request === true).map(({ stream }) => stream));
    expect([...methods].toSorted()).toEqual(
      [...new Set([...NODE_METHODS, ...GATEWAY_METHODS, ...PAIRING_METHODS])].toSorted(),
    );
  });

  it("names the field that does not fit, but not what is in it", () => {
    const secret = { type: "batch", first: 1, events: [{ kind: "k", time: 0, data: "s3cret" }] };
    const error = errorOf(() => parsePublishMessage(encodeCbor(secret))) as ProtocolError;
    expect(error.message).toContain("/events/0/data");
    expect(error.message).not.toContain("s3cret");
  });
});

describe("error frames", () => {
  it.each(vectors.errors)("$name is thrown by every parser", ({ hex, value }) => {
    const { code, message, retryAfterMs, details } = fromJson(value) as Record<string, unknown>;
    for (const parser of Object.values(PARSERS)) {
      const error = errorOf(() => parser(fromHex(hex)));
      expect(error).toBeInstanceOf(RemoteError);
      expect(error).toMatchObject({ code, message, details: details ?? {} });
      expect((error as RemoteError).retryAfterMs).toBe(retryAfterMs);
    }
  });

  it.each(vectors.errors)("$name is made from an error", ({ hex, value }) => {
    const facts = fromJson(value) as { code: string; message: string };
    expect(toHex(encodeCbor(errorFrameOf(facts)))).toBe(hex);
  });

  it("an error whose text is too long is cut, and is still readable", () => {
    const frame = errorFrameOf(new ProtocolError("CBOR_INVALID", `${"a".repeat(511)}\u{1f6a2}`));
    const error = errorOf(() => parsePublishReply(encodeCbor(frame)));
    expect(error).toMatchObject({ name: "RemoteError", code: "CBOR_INVALID", message: `${"a".repeat(511)}\ufffd` });
  });
});

describe("task events", () => {
  it.each(vectors.eventData)("$kind parses", ({ kind, hex, value }) => {
    expect(parseTaskEvent(kind, fromHex(hex))).toEqual({ kind, data: fromJson(value) });
    expect(toHex(encodeCbor(fromJson(value)))).toBe(hex);
  });

  it("leaves other kinds alone, whatever their data", () => {
    expect(parseTaskEvent("door.opened", fromHex("ff"))).toBeUndefined();
  });

  it("refuses data that does not fit its kind", () => {
    for (const hex of ["a0", "f6", "ff", "a1667461736b496460"]) {
      expect(errorOf(() => parseTaskEvent("task.log", fromHex(hex)))).toBeInstanceOf(ProtocolError);
    }
  });
});

describe("the largest messages fit the limits of a frame", () => {
  const taskId = "01BX5ZZKBKACTAV9WEVGEMMVRZ";
  const device = taskId;
  const outboxEpoch = new Uint8Array(16);
  const attempts = Array.from({ length: MAX_RUNNING_ATTEMPTS }, (_, token) => ({ taskId, token, progress: 0.1 }));
  const capabilities = Array.from({ length: 256 }, (_, index) => ({ name: `definition-${index}`, concurrency: 4 }));

  it("a hello with every attempt and capability", () => {
    const hello = {
      v: 1,
      method: "session.open",
      device,
      nonce: new Uint8Array(32),
      outboxEpoch,
      software: "x",
      platform: { os: "linux", arch: "x64", hostname: "h" },
      capabilities,
      policyVersion: 1,
      running: attempts,
    };
    expect(parseRequest(encodeCbor(hello), NODE_METHODS)).toEqual(hello);
  });

  it("a heartbeat and its answer with every attempt", () => {
    const heartbeat = { type: "heartbeat", seq: 1, load: 0.5, running: attempts };
    expect(parseNodeControl(encodeCbor(heartbeat))).toEqual(heartbeat);
    const fenced = attempts.map(({ token }) => ({ taskId, token }));
    const answer = { type: "heartbeat.ack", seq: 1, leaseMs: 1, fenced };
    expect(parseGatewayControl(encodeCbor(answer))).toEqual(answer);
  });

  it("full frames of events", () => {
    const event = { kind: "k", time: 1, data: new Uint8Array(10) };
    const batch = { type: "batch", first: 1, events: Array.from({ length: MAX_BATCH_EVENTS }, () => event) };
    expect(parsePublishMessage(encodeCbor(batch))).toEqual(batch);
    const logged = { offset: 1, device, outboxEpoch, seq: 1, ...event, received: 1 };
    const events = { type: "events", events: Array.from({ length: MAX_BATCH_EVENTS }, () => logged) };
    expect(parseSubscriptionMessage(encodeCbor(events))).toEqual(events);
  });
});
