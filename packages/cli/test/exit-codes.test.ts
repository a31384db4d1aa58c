import { readFile } from "node:fs/promises";
import { GATEWAY_ERRORS, type GatewayErrorCode } from "@quaymesh/gateway";
import type { IdentityErrorCode } from "@quaymesh/identity";
import type { NodeErrorCode } from "@quaymesh/node";
import type { TransportErrorCode } from "@quaymesh/protocol";
import { describe, expect, test } from "vitest";
import type { CliErrorCode } from "../src/errors.ts";
import { EXIT_CODES, exitFor, exitLines } from "../src/exit-codes.ts";

/** What scripts rely on. A code that joins one of these unions fails the type check until somebody decides its exit code. */
const NODE = {
  NODE_NOT_PAIRED: 16,
  NODE_ALREADY_RUNNING: 33,
  NODE_STOPPED: 1,
  OPTIONS_INVALID: 2,
  STATE_UNREADABLE: 36,
  STATE_CORRUPT: 31,
  DEVICE_KEY_MISSING: 31,
  JOIN_TOKEN_DAMAGED: 31,
  STATE_VERSION: 34,
  OUTBOX_CORRUPT: 31,
  OUTBOX_FULL: 36,
  OUTBOX_DISK_FULL: 36,
  OUTBOX_IO: 36,
  OUTBOX_BEHIND: 31,
  EVENT_TOO_LARGE: 1,
  EVENT_QUARANTINED: 1,
  RESUME_COMPACTED: 40,
  RESUME_FUTURE: 40,
  LOG_CHANGED: 40,
  SUBSCRIPTION_TAKEN: 41,
  SUBSCRIPTION_EXISTS: 41,
  SUBSCRIPTION_LIMIT: 6,
  SUBSCRIPTION_NOT_FOUND: 5,
  GATEWAY_UNSUPPORTED: 1,
  TASK_DEFINITION_INVALID: 28,
  GATEWAY_UNREACHABLE: 3,
  GATEWAY_BUSY: 6,
  GATEWAY_PROTOCOL: 1,
  GATEWAY_REFUSED: 19,
  GATEWAY_UNTRUSTED: 13,
  GATEWAY_PIN_MISMATCH: 13,
  SESSION_LOST: 3,
  DEVICE_REVOKED: 17,
  DEVICE_UNKNOWN: 19,
  CERTIFICATE_EXPIRED: 19,
  CLOCK_SKEW: 19,
  DEVICE_FROZEN: 19,
  TICKET_EXPIRED: 11,
  PAKE_CONFIRM_FAILED: 12,
  POSSIBLE_INTERCEPTION: 13,
  RENEW_TOO_LATE: 15,
  PAIR_CLOSED: 12,
  PAIR_VERSION: 19,
  PAIR_CODE_INVALID: 12,
  PAIR_RATE_LIMITED: 6,
  PAIR_CSR_INVALID: 19,
  PAIR_KEY_MISMATCH: 19,
  PAIR_DENIED: 14,
  PAIR_APPROVAL_TIMEOUT: 15,
  PAIR_FAILED: 19,
  GATEWAY_BEHIND: 39,
  PAIR_PROTOCOL: 19,
  PAIR_TIMEOUT: 3,
  PAIR_UNAVAILABLE: 3,
} satisfies Record<NodeErrorCode, number>;

const TRANSPORT = {
  ADDRESS_IN_USE: 32,
  ADDRESS_UNAVAILABLE: 32,
  BINDING_UNAVAILABLE: 37,
  CREDENTIALS_INVALID: 1,
  UNREACHABLE: 3,
  HANDSHAKE_TIMEOUT: 3,
  PEER_REFUSED: 13,
  CONNECTION_CLOSED: 3,
  STREAM_RESET: 1,
  STREAM_ENDED: 1,
  TRANSPORT_CLOSED: 1,
} satisfies Record<TransportErrorCode, number>;

const OWN = {
  USAGE: 2,
  NOT_FOUND: 5,
  FILE_NOT_FOUND: 5,
  PICTURE_UNREADABLE: 10,
  TICKET_UNREADABLE: 10,
  INPUT_INVALID: 26,
  DEFINITIONS_INVALID: 28,
  STATE_MISSING: 30,
  STATE_PERMISSIONS: 4,
  PAIR_DENIED: 14,
  PAIR_EXPIRED: 15,
  PAIR_BURNT: 12,
  PAIR_CLOSED: 12,
  TASK_FAILED: 20,
  TASK_CANCELLED: 21,
  TASK_TIMED_OUT: 22,
  TASK_DEAD: 23,
  INTERRUPTED: 130,
  DECLINED: 1,
  ROOT_KEY_WRONG: 38,
} satisfies Record<CliErrorCode, number>;

/** Gateway and identity codes that rightly end with a plain 1: faults of ours, or facts only a program meets. */
const PLAIN: readonly (GatewayErrorCode | IdentityErrorCode)[] = ["GATEWAY_INTERNAL", "VALUE_INVALID", "KEY_INVALID"];

describe("exit codes", () => {
  test.each(Object.entries({ ...NODE, ...TRANSPORT, ...OWN }))("%s ends a command with %i", (code, exit) => {
    expect(exitFor(code)).toBe(exit);
  });

  test("every code a gateway gives has an exit code of its own, or is known to have none", () => {
    const without = Object.keys(GATEWAY_ERRORS).filter((code) => exitFor(code) === 1);
    expect(without.filter((code) => !PLAIN.some((plain) => plain === code))).toEqual([]);
  });

  test("no error code stands in two rows, and no exit code has two", () => {
    const codes = EXIT_CODES.flatMap((row) => row.codes);
    expect(codes).toHaveLength(new Set(codes).size);
    expect(new Set(EXIT_CODES.map((row) => row.exit)).size).toBe(EXIT_CODES.length);
  });

  test("an unknown code is a plain failure", () => {
    expect(exitFor("SOMETHING_NEW")).toBe(1);
  });

  test("a command's help lists its own codes and the three every command has", () => {
    expect(exitLines(16)).toBe(
      [
        "    0  done",
        "    1  failed; the message says why",
        "    2  the command line is wrong, or Node is too old",
        "   16  this node is not paired",
      ].join("\n"),
    );
  });

  test("docs/exit-codes.md is this table", async () => {
    const page = await readFile(new URL("../../../docs/exit-codes.md", import.meta.url), "utf8");
    const rows = page.split("\n").filter((line) => /^\| \d/u.test(line));
    const expected = EXIT_CODES.map(
      ({ exit, meaning, codes }) => `| ${exit} | ${meaning} | ${codes.map((code) => `\`${code}\``).join(", ")} |`,
    );
    expect(rows).toEqual(expected);
  });
});
