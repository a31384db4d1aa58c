/** `parseTicket` and `parsePin`: what somebody scans, pastes or types. */
import { formatTicket, IdentityError, parsePin, parseTicket, TICKET_PREFIX } from "@quaymesh/identity";
import { fromBase32, toBase32 } from "../../../packages/identity/src/base32.ts";
import { crc16 } from "../../../packages/identity/src/ticket/crc16.ts";
import { bigEndian, join, mutateBytes } from "../bytes.ts";
import type { Random } from "../random.ts";
import { type PureTarget, Violation } from "../target.ts";
import { vectorTexts } from "../vectors.ts";

const MAX_BYTES = 65_536;
const CODES = new Set(["TICKET_UNREADABLE", "TICKET_MISTYPED", "TICKET_VERSION", "TICKET_EXPIRED"]);
const encoder = new TextEncoder();
const decoder = new TextDecoder();

function readTicket(text: string): ReturnType<typeof parseTicket> | undefined {
  try {
    return parseTicket(text, { now: 0 });
  } catch (error) {
    if (!(error instanceof IdentityError)) throw error;
    if (!CODES.has(error.code)) throw new Violation(`refused with ${error.code}, which nobody expects here`);
    if (error.message.length > 300) throw new Violation("the refusal repeats too much of what was typed");
    return undefined;
  }
}

function readPin(text: string): void {
  try {
    parsePin(text);
  } catch (error) {
    if (!(error instanceof IdentityError) || error.code !== "PIN_INVALID") throw error;
  }
}

function run(input: Uint8Array): void {
  const text = decoder.decode(input);
  readPin(text);
  const ticket = readTicket(text);
  if (ticket === undefined) return;
  const written = formatTicket(ticket);
  // Case and white space aside, a ticket has one spelling.
  if (written !== text.replaceAll(/\s+/gu, "").toUpperCase()) throw new Violation("a ticket has two spellings");
  if (ticket.addresses.length === 0) throw new Violation("a ticket without an address was taken");
}

const bytesOf = (input: Uint8Array): Uint8Array | undefined => {
  const text = decoder.decode(input);
  return text.startsWith(TICKET_PREFIX) ? fromBase32(text.slice(TICKET_PREFIX.length)) : undefined;
};

function mutate(random: Random, input: Uint8Array, other: Uint8Array): Uint8Array {
  const bytes = bytesOf(input);
  if (bytes === undefined || random.chance(0.2)) return mutateText(random, input);
  const body = bytes.subarray(0, -2);
  // The addresses are what has structure: 53 bytes come before them, 63 with a mesh id.
  const from = random.chance(0.7) ? Math.min(body.length, 53) : 0;
  const changed = join(body.subarray(0, from), mutateBytes(random, body.subarray(from), bytesOf(other) ?? other, 600));
  const sum = random.chance(0.95) ? crc16(changed) : random.below(65_536);
  return encoder.encode(TICKET_PREFIX + toBase32(join(changed, bigEndian(sum, 2))));
}

function mutateText(random: Random, input: Uint8Array): Uint8Array {
  const text = decoder.decode(input);
  const at = random.below(text.length);
  const odd = random.pick([
    " ",
    "\n",
    "\u00a0",
    "\u017f",
    "\u0131",
    "\u00df",
    "=",
    "0",
    "-",
    "\u{1f512}",
    "QUAY:",
    "12345678",
  ]);
  const put = odd.repeat(1 + random.length(random.chance(0.03) ? 3000 : 8));
  return encoder.encode(text.slice(0, at) + put + text.slice(at + random.below(2)));
}

/** See the top of the file. */
export const target: PureTarget = {
  maxBytes: MAX_BYTES,
  seeds: async () => [...(await vectorTexts("ticket")), "1234 5678", "12345678"].map((text) => encoder.encode(text)),
  mutate,
  run,
};
