import { Duplex, PassThrough } from "node:stream";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  encodeLine,
  MAX_LINE_BYTES,
  parseOrder,
  parseReport,
  type ChildOrder,
  type ChildReport,
} from "../../src/pairing/child-protocol.ts";
import { readLines } from "../../src/pairing/line-pipe.ts";

const id = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const port = fc.integer({ min: 0, max: 65_535 });
const frame = fc.uint8Array({ minLength: 1, maxLength: 4100 }).map((bytes) => Buffer.from(bytes).toString("base64"));
const spki = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString("hex"));
const host = fc.oneof(fc.ipV4(), fc.ipV6());

const report: fc.Arbitrary<ChildReport> = fc.oneof(
  fc.record({
    kind: fc.constant("listening" as const),
    addresses: fc.array(fc.record({ host, port, at: port }), { minLength: 1, maxLength: 3 }),
  }),
  fc.record({ kind: fc.constant("failed" as const), code: fc.string({ maxLength: 64 }), message: fc.string() }),
  fc.record({ kind: fc.constant("beat" as const) }),
  fc.record({ kind: fc.constant("peer" as const), id, host, port, spki, frame }),
  fc.record({ kind: fc.constant("frame" as const), id, frame }),
  fc.record({ kind: fc.constant("gone" as const), id }),
);

const order: fc.Arbitrary<ChildOrder> = fc.oneof(
  fc.record({
    kind: fc.constant("listen" as const),
    addresses: fc.array(fc.oneof(fc.record({ host, port }), fc.record({ fd: id })), { minLength: 1, maxLength: 3 }),
    keyPem: fc.string({ maxLength: 4096 }),
    chainPem: fc.string({ maxLength: 4096 }),
    maxConnections: id,
  }),
  fc.record({ kind: fc.constantFrom("send" as const, "end" as const), id, frame }),
  fc.record({ kind: fc.constant("drop" as const), id }),
  fc.record({ kind: fc.constant("stop" as const) }),
);

describe("the lines between gateway and pairing process", () => {
  test("say on one side what was said on the other", () => {
    fc.assert(
      fc.property(report, (message) => {
        expect(parseReport(encodeLine(message))).toEqual(message);
      }),
    );
    fc.assert(
      fc.property(order, (message) => {
        expect(parseOrder(encodeLine(message))).toEqual(message);
      }),
    );
  });

  test("never throw, whatever comes", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (line) => {
        expect(parseReport(line)).toBeUndefined();
        expect(parseOrder(line)).toBeUndefined();
      }),
    );
  });

  test("are refused when any field is of another kind", () => {
    const sound = fc.tuple(report, fc.nat(), fc.constantFrom(null, -1, 0.5, "", [], {}, "x".repeat(9000)));
    fc.assert(
      fc.property(sound, ([message, which, wrong]) => {
        const fields = Object.keys(message).filter(
          (field) => field !== "code" && field !== "message" && field !== "host",
        );
        const field = fields[which % fields.length] ?? "kind";
        expect(parseReport(JSON.stringify({ ...message, [field]: wrong }))).toBeUndefined();
      }),
    );
  });

  test("are the same lines however the bytes are split", async () => {
    const text = fc.array(
      fc.string({ maxLength: 50 }).map((line) => line.replaceAll("\n", " ")),
      { maxLength: 20 },
    );
    await fc.assert(
      fc.asyncProperty(text, fc.array(fc.integer({ min: 1, max: 30 })), async (lines, cuts) => {
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""));
        const pipe = new PassThrough();
        for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
          const length = cuts[turn % Math.max(1, cuts.length)] ?? bytes.length;
          pipe.write(bytes.subarray(at, at + length));
          at += length;
        }
        pipe.end("half a line");
        const read: string[] = [];
        for await (const line of readLines(pipe)) read.push(line);
        expect(read).toEqual(lines.map((line) => line.toWellFormed()));
      }),
    );
  });

  test("longer than allowed end the pipe, with and without an end", async () => {
    for (const end of ["", "\n"]) {
      const pipe = new PassThrough();
      pipe.end(`${"x".repeat(MAX_LINE_BYTES + 1)}${end}`);
      await expect(readLines(pipe).next()).rejects.toThrow(RangeError);
    }
    const pipe = new PassThrough();
    pipe.end(`${"x".repeat(MAX_LINE_BYTES)}\n`);
    expect((await readLines(pipe).next()).value).toHaveLength(MAX_LINE_BYTES);
  });

  test("end without an error when the other side is killed", async () => {
    const pipe = new Duplex({
      read() {
        this.destroy(new Error("ECONNRESET"));
      },
    });
    pipe.on("error", () => {});
    expect(await readLines(pipe).next()).toEqual({ done: true, value: undefined });
  });
});
