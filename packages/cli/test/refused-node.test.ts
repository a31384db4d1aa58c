/** A node that is refused says why: the whole way from the gateway's verdict, over UDP, to what `quaymesh node run` prints and ends with. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Authority } from "@quaymesh/identity";
import type { ListenerRefusal, ListenOptions } from "@quaymesh/protocol";
import { createQuicTransport } from "@quaymesh/transport-quic";
import { expect, test } from "vitest";
import { createAuthority, pairState, temporaryDirectory } from "../../node/test/support/paired-state.ts";
import { runCommand } from "./support.ts";

/** A certificate of that time has run out, and the authority has not. */
const MADE_AT = Date.now() - 60 * 24 * 3_600_000;

let shared: Promise<Authority> | undefined;

/** What a mesh endpoint of the device's own mesh listens with, and lets everybody in. */
async function ownMesh(authority: Authority): Promise<ListenOptions> {
  const { credentials } = await authority.issueGatewayLeaf({ now: Date.now() });
  return {
    address: { host: "127.0.0.1", port: 0 },
    protocol: "quaymesh/1",
    credentials,
    trust: { kind: "anchored", anchorsPem: authority.rootPem },
  };
}

const refusing = async (
  authority: Authority,
  reason: "revoked" | "expired" | "unknown" | "denied",
): Promise<ListenOptions> => {
  const mesh = await ownMesh(authority);
  const anchored = { kind: "anchored", anchorsPem: authority.rootPem } as const;
  return { ...mesh, trust: { ...anchored, authorize: () => ({ kind: "refuse", reason }) } };
};

interface Case {
  readonly counted: ListenerRefusal;
  readonly listen: (authority: Authority) => Promise<ListenOptions>;
  /** When the device was paired. Default: now. */
  readonly pairedAt?: number;
  readonly code: string;
  readonly exit: number;
  /** Part of what people read. */
  readonly says: string;
  /** The standard's name of the alert. */
  readonly alert: string;
}

const CASES: readonly Case[] = [
  {
    counted: "busy",
    listen: async (authority) => ({ ...(await ownMesh(authority)), limits: { maxConnections: 0 } }),
    code: "GATEWAY_BUSY",
    exit: 6,
    says: "as many connections as it allows",
    alert: "connection_refused",
  },
  {
    counted: "revoked",
    listen: (authority) => refusing(authority, "revoked"),
    code: "DEVICE_REVOKED",
    exit: 17,
    says: "this device was revoked",
    alert: "certificate_revoked",
  },
  {
    counted: "expired",
    listen: (authority) => refusing(authority, "expired"),
    code: "CLOCK_SKEW",
    exit: 19,
    says: "compare both machines' clocks",
    alert: "certificate_expired",
  },
  {
    counted: "expired",
    listen: ownMesh,
    pairedAt: MADE_AT,
    code: "CERTIFICATE_EXPIRED",
    exit: 19,
    says: "pair it again, unless this clock is ahead",
    alert: "certificate_expired",
  },
  {
    counted: "unknown",
    listen: (authority) => refusing(authority, "unknown"),
    code: "DEVICE_UNKNOWN",
    exit: 19,
    says: "does not know this device",
    alert: "certificate_unknown",
  },
  {
    counted: "denied",
    listen: (authority) => refusing(authority, "denied"),
    code: "GATEWAY_REFUSED",
    exit: 19,
    says: "does not let this device in",
    alert: "access_denied",
  },
  {
    counted: "untrusted",
    listen: async (authority) => {
      const { rootPem } = await createAuthority("another");
      return { ...(await ownMesh(authority)), trust: { kind: "anchored", anchorsPem: rootPem } };
    },
    code: "GATEWAY_REFUSED",
    exit: 19,
    says: "of another mesh",
    alert: "unknown_ca",
  },
  {
    counted: "wrong-protocol",
    listen: async (authority) => ({ ...(await ownMesh(authority)), protocol: "quaymesh-pair/1" }),
    code: "GATEWAY_PROTOCOL",
    exit: 1,
    says: "not a mesh endpoint",
    alert: "no_application_protocol",
  },
];

/** Without what a line's end and a sentence's beginning do to words. */
const flat = (text: string): string => text.toLowerCase().replaceAll(/\s+/gu, " ");

test.each(CASES)("$counted: $code, exit $exit, and the gateway counts it", async (wanted) => {
  shared ??= createAuthority("harbor", MADE_AT);
  const authority = await shared;
  await using listener = await createQuicTransport().listen(await wanted.listen(authority));
  await using state = await temporaryDirectory();
  const now = wanted.pairedAt ?? Date.now();
  await pairState(state.path, authority, { addresses: [listener.address], now });
  const { exit, stdout, stderr } = await runCommand(["node", "run", "--no-retry", "--json", "--state", state.path]);
  const [last] = stderr.trimEnd().split("\n").slice(-1);
  expect(JSON.parse(last ?? "")).toMatchObject({ error: { code: wanted.code, refusedWith: wanted.alert } });
  expect(exit).toBe(wanted.exit);
  expect(flat(`${stdout}${stderr}`)).toContain(flat(wanted.says));
  expect(listener.stats()).toMatchObject({ refused: { [wanted.counted]: 1 }, accepted: 0 });
  const people = await runCommand(["node", "run", "--no-retry", "--state", state.path]);
  expect(people.exit).toBe(wanted.exit);
  expect(people.stderr).toContain(wanted.code);
  expect(flat(people.stderr)).toContain(flat(wanted.says));
});

test("--trace leaves a trace of the connection, which says how it ended", async () => {
  shared ??= createAuthority("harbor", MADE_AT);
  const authority = await shared;
  await using listener = await createQuicTransport().listen(await refusing(authority, "revoked"));
  await using state = await temporaryDirectory();
  await pairState(state.path, authority, { addresses: [listener.address] });
  await using traces = await temporaryDirectory();
  await runCommand(["node", "run", "--no-retry", "--state", state.path, "--trace", traces.path]);
  const files = await readdir(traces.path);
  expect(files).toEqual([expect.stringMatching(/^[0-9a-f]{16,40}_client\.sqlog$/u)]);
  // Written without being waited for.
  await expect
    .poll(async () => await readFile(join(traces.path, files[0] ?? ""), "utf8"))
    .toMatch(/"name":"connectivity:connection_closed","data":\{"owner":"remote".*"connection_code":300/u);
});
