import { createCipheriv, createDecipheriv, createHmac, randomBytes } from "node:crypto";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { printAddress, sourcePrefix, unmapped } from "../src/address.ts";
import { cutToBytes } from "../src/connection.ts";
import { destinationIdOf, shapeOf } from "../src/datagram-shape.ts";
import { HandshakeBudget } from "../src/handshake-budget.ts";
import { resolveOptions } from "../src/options.ts";
import { RETRY_TOKEN_LIFE_MS, RetryTokens } from "../src/retry-token.ts";
import { StatelessResets } from "../src/stateless-reset.ts";
import { statelessClose } from "../src/stateless-close.ts";

const binding = { address: "192.0.2.1", port: 4000, retryId: Buffer.alloc(20, 1) };

test("a token gives back the id it was made for, to its owner, within its life", () => {
  const tokens = new RetryTokens();
  const dcid = randomBytes(8);
  const token = tokens.issue(dcid, binding, 1000);
  expect(tokens.open(token, binding, 1000 + RETRY_TOKEN_LIFE_MS)).toEqual(dcid);
  expect(tokens.open(token, binding, 1001 + RETRY_TOKEN_LIFE_MS)).toBeUndefined();
  expect(tokens.open(token, { ...binding, address: "192.0.2.2" }, 1000)).toBeUndefined();
  expect(tokens.open(token, { ...binding, port: 4001 }, 1000)).toBeUndefined();
  expect(tokens.open(token, { ...binding, retryId: Buffer.alloc(20, 2) }, 1000)).toBeUndefined();
  expect(new RetryTokens().open(token, binding, 1000)).toBeUndefined();
});

test("no changed or cut token passes", () => {
  const tokens = new RetryTokens();
  const token = tokens.issue(randomBytes(20), binding, 0);
  fc.assert(
    fc.property(fc.nat(token.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const changed = Buffer.from(token);
      changed[at] = (changed[at] ?? 0) ^ flip;
      expect(tokens.open(changed, binding, 0)).toBeUndefined();
      expect(tokens.open(token.subarray(0, at), binding, 0)).toBeUndefined();
    }),
  );
});

test("a prefix may start its burst, then its rate, and others are not held to it", () => {
  const budget = new HandshakeBudget({ perSecond: 2, burst: 3 });
  const spend = (host: string, now: number): boolean => budget.spend(host, now);
  expect([0, 0, 0, 0].map((now) => spend("2001:db8::1", now))).toEqual([true, true, true, false]);
  // The same /64, written otherwise.
  expect(spend("2001:0db8:0:0:ffff::2", 0)).toBe(false);
  expect(spend("2001:db8:0:1::1", 0)).toBe(true);
  expect(spend("2001:db8::9", 500)).toBe(true);
  expect(spend("2001:db8::9", 500)).toBe(false);
  expect(Array.from({ length: 100 }, () => spend("127.0.0.1", 0)).every(Boolean)).toBe(true);
});

test("an IPv6 site has four times the budget of one of its prefixes, and a prefix that is over its own takes nothing of it", () => {
  const budget = new HandshakeBudget({ perSecond: 1, burst: 3 });
  const spent = (subnet: string): number =>
    [1, 2, 3, 4, 5].filter((host) => budget.spend(`2001:db8:7:${subnet}::${host}`, 0)).length;
  expect(["1", "2", "3", "4", "5", "6"].map(spent)).toEqual([3, 3, 3, 3, 0, 0]);
  expect(budget.spend("2001:db8:8::1", 0)).toBe(true);
});

test.each([
  ["192.0.2.7", "192.0.2.7"],
  ["::ffff:192.0.2.7", "192.0.2.7"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2"],
  ["2001:db8::1", "2001:db8:0:0"],
  ["::1", "0:0:0:0"],
])("the budget of %s is that of %s", (host, prefix) => {
  expect(sourcePrefix(host)).toBe(prefix);
});

test("addresses print so that they can be typed", () => {
  expect(printAddress({ host: "::1", port: 1 })).toBe("[::1]:1");
  expect(printAddress({ host: "127.0.0.1", port: 1 })).toBe("127.0.0.1:1");
  expect(unmapped("::ffff:127.0.0.1")).toBe("127.0.0.1");
});

test("any bytes have a shape, and reading it never throws", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1300 }), (bytes) => {
      const datagram = Buffer.from(bytes);
      expect(["initial", "other-version", "junk"]).toContain(shapeOf(datagram).kind);
      const id = destinationIdOf(datagram);
      expect(id === undefined || id.length <= 20).toBe(true);
    }),
  );
});

test("a reason is cut at whole characters", () => {
  expect(cutToBytes("añb", 2)).toBe("a");
  expect(cutToBytes("añb", 3)).toBe("añ");
  expect(cutToBytes("😀😀", 7)).toBe("😀");
  expect(cutToBytes("short", 128)).toBe("short");
});

const label = (secret: Buffer, name: string, bytes: number): Buffer => {
  const full = Buffer.from(`tls13 ${name}`);
  const info = Buffer.concat([Buffer.of(0, bytes, full.length), full, Buffer.of(0)]);
  // HKDF-Expand alone, one block.
  return createHmac("sha256", secret).update(info).update(Buffer.of(1)).digest().subarray(0, bytes);
};

test("the initial secrets are those of RFC 9001 appendix A.1, and the refusal opens with them", () => {
  const dcid = Buffer.from("8394c8f03e515708", "hex");
  const salt = Buffer.from("38762cf7f55934b34d179ae6a4c80cadccbb7f0a", "hex");
  const initial = createHmac("sha256", salt).update(dcid).digest();
  const secret = label(initial, "server in", 32);
  expect(secret.toString("hex")).toBe("3c199828fd139efd216c155ad844cc81fb82fa8d7446fa7d78be803acdda951b");
  const packet = statelessClose(dcid, Buffer.from("aabbcc", "hex"), 0x02, "busy");
  const numberAt = packet.length - 16 - 20 - 1;
  const mask = createCipheriv("aes-128-ecb", label(secret, "quic hp", 16), null).update(
    packet.subarray(numberAt + 4, numberAt + 20),
  );
  packet[0] = (packet[0] ?? 0) ^ ((mask[0] ?? 0) & 0x0f);
  packet[numberAt] = (packet[numberAt] ?? 0) ^ (mask[1] ?? 0);
  expect(packet.subarray(0, 10).toString("hex")).toBe("c00000000103aabbcc08");
  const opener = createDecipheriv("aes-128-gcm", label(secret, "quic key", 16), label(secret, "quic iv", 12));
  opener.setAAD(packet.subarray(0, numberAt + 1));
  opener.setAuthTag(packet.subarray(-16));
  const frames = Buffer.concat([opener.update(packet.subarray(numberAt + 1, -16)), opener.final()]);
  expect(frames.subarray(0, 9)).toEqual(Buffer.from([0x1c, 0x02, 0x00, 0x40, 4, 0x62, 0x75, 0x73, 0x79]));
});

test("reset tokens differ by connection id, survive a restart, and are never longer than the question", () => {
  const [one, two] = [Buffer.alloc(20, 1), Buffer.alloc(20, 2)];
  const resets = new StatelessResets("key", 0);
  expect(resets.tokenOf(one)).toBe(new StatelessResets("key", 9).tokenOf(one));
  expect(resets.tokenOf(one)).not.toBe(resets.tokenOf(two));
  expect(resets.tokenOf(one)).not.toBe(new StatelessResets("other", 0).tokenOf(one));
  const question = Buffer.concat([Buffer.of(0x41), one, randomBytes(40)]);
  const answer = resets.answer(question, 0);
  expect(answer).toHaveLength(42);
  expect(answer?.subarray(-16).toString("hex")).toBe(resets.tokenOf(one).toString(16).padStart(32, "0"));
  expect(resets.answer(question.subarray(0, 22), 0)).toHaveLength(21);
  expect(resets.answer(question.subarray(0, 21), 0)).toBeUndefined();
  expect(resets.answer(Buffer.concat([Buffer.of(0xc1), question]), 0)).toBeUndefined();
});

test("options outside their range are refused", () => {
  expect(() => resolveOptions({ datagramBytes: 1199 })).toThrow(RangeError);
  expect(() => resolveOptions({ datagramBytes: 65_508 })).toThrow(RangeError);
  expect(() => resolveOptions({ sendBufferBytes: 10 })).toThrow(RangeError);
  expect(resolveOptions({}).datagramBytes).toBe("auto");
});
