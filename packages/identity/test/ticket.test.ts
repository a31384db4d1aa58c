import { create as createQr, toString as qrToString } from "qrcode";
import * as fc from "fast-check";
import {
  codeIdOf,
  formatPin,
  formatTicket,
  generatePin,
  IdentityError,
  meshIdOf,
  parsePin,
  parseTicket,
  Secret,
  sourcePrefix,
  type Ticket,
} from "@quaymesh/identity";
import { describe, expect, test } from "vitest";
import { fromBase32, toBase32 } from "../src/base32.ts";
import { crc16 } from "../src/ticket/crc16.ts";
import { encodeTicket } from "../src/ticket/ticket.ts";
import { expectCode } from "./support.ts";
import { hex, readVectors } from "./vectors.ts";

interface TicketVectors {
  valid: {
    about: string;
    text: string;
    ticket: {
      meshId: string;
      rootSpkiSha256: string;
      secret: string;
      codeId: string;
      expiresAt: number;
      addresses: { host: string; port: number }[];
    };
  }[];
  invalid: { about: string; text: string; code: string }[];
}

const vectors = readVectors("ticket") as TicketVectors;
const EXPIRY = 1_767_323_345_000;

describe("the ticket vectors", () => {
  test.each(vectors.valid)("$about", ({ text, ticket }) => {
    const parsed = parseTicket(text, { now: EXPIRY - 1 });
    const { secret, rootSpkiSha256, codeId, ...rest } = parsed;
    const read = { rootSpkiSha256, secret: secret.reveal(), codeId };
    expect(rest).toEqual({ meshId: ticket.meshId, expiresAt: ticket.expiresAt, addresses: ticket.addresses });
    for (const [field, bytes] of Object.entries(read)) {
      expect(Buffer.from(bytes).toString("hex")).toBe(ticket[field as keyof typeof read]);
    }
    expect(formatTicket(parsed)).toBe(text);
  });

  test.each(vectors.invalid)("refused: $about", async ({ text, code }) => {
    const error = await expectCode(code as IdentityError["code"], () =>
      parseTicket(text, { now: code === "TICKET_EXPIRED" ? EXPIRY + 1 : 0 }),
    );
    expect(error.message).not.toContain("00112233");
  });
});

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const ipv6 = bytes(16).map((address) => {
  const groups = Array.from({ length: 8 }, (_, at) =>
    Buffer.from(address)
      .readUInt16BE(at * 2)
      .toString(16),
  );
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
});
const host = fc.oneof(
  fc.ipV4(),
  ipv6,
  fc.domain().map((name) => name.toLowerCase()),
);
const address = fc.record({ host, port: fc.integer({ min: 1, max: 65_535 }) });
const ticketParts = fc.record({
  rootSpkiSha256: bytes(32),
  secretBytes: bytes(16),
  seconds: fc.integer({ min: 1, max: 0xffff_ffff }),
  addresses: fc.array(address, { minLength: 1, maxLength: 8 }),
  ownMeshId: fc.option(bytes(10)),
});

function makeTicket(parts: typeof ticketParts extends fc.Arbitrary<infer T> ? T : never): Ticket {
  const { rootSpkiSha256, secretBytes, seconds, addresses, ownMeshId } = parts;
  const secret = new Secret(secretBytes);
  const meshId = ownMeshId === null ? meshIdOf(rootSpkiSha256) : toBase32(ownMeshId).toLowerCase();
  return { meshId, rootSpkiSha256, secret, codeId: codeIdOf(secret), expiresAt: seconds * 1000, addresses };
}

describe("any ticket", () => {
  test("comes back as it was, in any case and with white space anywhere", () => {
    fc.assert(
      fc.property(ticketParts, fc.nat(), (parts, where) => {
        const ticket = makeTicket(parts);
        const text = formatTicket(ticket);
        const at = where % text.length;
        for (const variant of [text, text.toLowerCase(), `  ${text.slice(0, at)}\n\t ${text.slice(at)} `]) {
          const parsed = parseTicket(variant, { now: 0 });
          expect(parsed).toEqual({ ...ticket, secret: expect.anything() });
          expect(parsed.secret.reveal()).toEqual(ticket.secret.reveal());
        }
      }),
    );
  });

  test("with one wrong character or two neighbours swapped is never read", () => {
    const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    fc.assert(
      fc.property(ticketParts, fc.nat(), fc.nat(31), (parts, where, letter) => {
        const text = formatTicket(makeTicket(parts));
        const at = 5 + (where % (text.length - 6));
        const changed = text.slice(0, at) + letters.charAt(letter) + text.slice(at + 1);
        const swapped = text.slice(0, at) + text.charAt(at + 1) + text.charAt(at) + text.slice(at + 2);
        for (const wrong of [changed, swapped].filter((candidate) => candidate !== text)) {
          expect(() => parseTicket(wrong, { now: 0 })).toThrow(IdentityError);
        }
      }),
    );
  });

  test("is alphanumeric for a QR code, and one with two IPv4 addresses draws in 21 rows", async () => {
    const ticket = {
      meshId: "",
      rootSpkiSha256: new Uint8Array(32).fill(0xab),
      secret: new Secret(new Uint8Array(16).fill(0xcd)),
      expiresAt: EXPIRY,
    };
    const addresses = [
      { host: "192.168.100.200", port: 47_420 },
      { host: "10.200.100.200", port: 47_420 },
    ];
    const text = formatTicket({ ...ticket, meshId: meshIdOf(ticket.rootSpkiSha256), addresses });
    expect(text).toMatch(/^QUAY:[A-Z2-7]+$/);
    expect(text.length).toBeLessThanOrEqual(114);
    const qr = createQr(text, { errorCorrectionLevel: "L" });
    expect([qr.version, qr.segments.length]).toEqual([4, 1]);
    expect(
      (await qrToString(text, { errorCorrectionLevel: "L", type: "utf8" })).split("\n").length,
    ).toBeLessThanOrEqual(21);
  });
});

test("random text is refused with a code and never throws anything else", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.base64String().map((text) => `QUAY:${text}`),
        bytes(70).map((body) => `QUAY:${toBase32(body)}`),
      ),
      (text) => {
        try {
          parseTicket(text, { now: 0 });
        } catch (error) {
          expect(error).toBeInstanceOf(IdentityError);
          return;
        }
        throw new Error("this was read as a ticket");
      },
    ),
  );
});

test("what a ticket cannot carry is refused when it is made", async () => {
  const good = {
    rootSpkiSha256: new Uint8Array(32),
    secret: new Secret(new Uint8Array(16)),
    expiresAt: 1000,
    addresses: [{ host: "a", port: 1 }],
  };
  const meshId = meshIdOf(good.rootSpkiSha256);
  encodeTicket({ ...good, meshId });
  const bad: Partial<Ticket>[] = [
    { meshId: "UPPER" },
    { rootSpkiSha256: new Uint8Array(31) },
    { secret: new Secret(new Uint8Array(8)) },
    { expiresAt: 1001 },
    { expiresAt: -1000 },
    { expiresAt: Number.NaN },
    { expiresAt: 0x1_0000_0000 * 1000 },
    { addresses: [] },
    { addresses: Array.from({ length: 9 }, (_, port) => ({ host: "a", port: port + 1 })) },
    { addresses: [{ host: "a", port: 0 }] },
    { addresses: [{ host: "a", port: 1.5 }] },
    { addresses: [{ host: "a", port: 65_536 }] },
    { addresses: [{ host: "", port: 1 }] },
    { addresses: [{ host: "a b", port: 1 }] },
    { addresses: [{ host: "-a", port: 1 }] },
    { addresses: [{ host: "fe80::1%eth0", port: 1 }] },
  ];
  for (const change of bad) await expectCode("VALUE_INVALID", () => encodeTicket({ ...good, meshId, ...change }));
});

describe("base32", () => {
  test("has the vectors of RFC 4648 section 10, without padding", () => {
    const pairs = {
      "": "",
      f: "MY",
      fo: "MZXQ",
      foo: "MZXW6",
      foob: "MZXW6YQ",
      fooba: "MZXW6YTB",
      foobar: "MZXW6YTBOI",
    };
    for (const [plain, encoded] of Object.entries(pairs)) {
      expect(toBase32(Buffer.from(plain))).toBe(encoded);
      expect(Buffer.from(fromBase32(encoded) ?? "wrong").toString()).toBe(plain);
    }
  });

  test("has one text for any bytes", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...Array.from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567=a1")), maxLength: 40 }),
        (text) => {
          const decoded = fromBase32(text);
          if (decoded !== undefined) expect(toBase32(decoded)).toBe(text);
        },
      ),
      { numRuns: 500 },
    );
    expect(fromBase32("MZ")).toBeUndefined();
    expect(fromBase32("MYA")).toBeUndefined();
  });
});

test("CRC-16/IBM-3740 has its check value", () => {
  expect(crc16(Buffer.from("123456789"))).toBe(0x29b1);
  expect(crc16(hex(""))).toBe(0xffff);
});

describe("a PIN", () => {
  test("has eight digits, is shown in two groups and read back however it is typed", async () => {
    const pin = generatePin();
    expect(pin.reveal()).toMatch(/^\d{8}$/);
    expect(formatPin(new Secret("48217093"))).toBe("4821 7093");
    for (const typed of [formatPin(pin), pin.reveal(), ` ${pin.reveal().slice(0, 4)}-${pin.reveal().slice(4)}\n`]) {
      expect(parsePin(typed).reveal()).toBe(pin.reveal());
    }
    for (const typed of ["", "1234567", "123456789", "1234567a", "١٢٣٤٥٦٧٨"]) {
      const error = await expectCode("PIN_INVALID", () => parsePin(typed));
      if (typed !== "") expect(error.message).not.toContain(typed);
    }
  });

  test("is spread over the whole range", () => {
    const firstDigits = new Set(Array.from({ length: 400 }, () => generatePin().reveal().charAt(0)));
    expect(firstDigits.size).toBe(10);
  });
});

test("budgets count an IPv4 address, an IPv6 /64, and an IPv4 address in IPv6 clothes as what it is", () => {
  expect(sourcePrefix("192.0.2.1")).toBe("192.0.2.1");
  expect(sourcePrefix("::ffff:192.0.2.1")).toBe("192.0.2.1");
  expect(sourcePrefix("2001:db8:1:2:3::1")).toBe(sourcePrefix("2001:db8:1:2:ffff::9"));
  expect(sourcePrefix("2001:db8:1:2::1")).not.toBe(sourcePrefix("2001:db8:1:3::1"));
  expect(sourcePrefix("fe80::1%eth0")).toBe("fe80000000000000/64");
  expect(sourcePrefix("memory-peer")).toBe("memory-peer");
});
