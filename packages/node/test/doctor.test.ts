/** What a node's doctor finds, check by check. That both ends of a dial say the same is test/e2e/doctor.test.ts. */
import { chmod, mkdir, readdir, readFile, writeFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Check, CheckResult, ProbeAnswer, SocketAddress } from "@quaymesh/protocol";
import { certificateCheck } from "../src/doctor/certificate-check.ts";
import { clockCheck } from "../src/doctor/clock-check.ts";
import type { NodeDoctorContext } from "../src/doctor/context.ts";
import { identityCheck } from "../src/doctor/identity-check.ts";
import { mtuCheck } from "../src/doctor/mtu-check.ts";
import { namesCheck } from "../src/doctor/names-check.ts";
import { NODE_CHECKS } from "../src/doctor/node-doctor.ts";
import { outboxCheck } from "../src/doctor/outbox-check.ts";
import { processCheck } from "../src/doctor/process-check.ts";
import { stateCheck } from "../src/doctor/state-check.ts";
import { udpCheck } from "../src/doctor/udp-check.ts";
import { loadIdentity } from "../src/state/identity-file.ts";
import { layoutOf } from "../src/state/layout.ts";
import { lockState } from "../src/state/lock.ts";
import { doctorContext, identityAt } from "./support/doctor.ts";
import { createAuthority, pairState, temporaryDirectory } from "./support/paired-state.ts";

const DAY = 86_400_000;
const GATEWAY: SocketAddress = { host: "192.0.2.10", port: 7420 };

const ask = async (check: Check<NodeDoctorContext>, context: NodeDoctorContext): Promise<CheckResult> =>
  await check.run(context);

it("docs/doctor.md names every check, in their order", async () => {
  const page = await readFile(new URL("../../../docs/doctor.md", import.meta.url), "utf8");
  const section = /## On a node\n(.*?)\n##/su.exec(page)?.[1] ?? "";
  const named = [...section.matchAll(/^\| `(\w+)` \|/gmu)].map((row) => row[1]);
  expect(named).toEqual(NODE_CHECKS.map(({ name }) => name));
});

describe("the state", () => {
  it("is missing, is nobody else's to read, or is told of with what to run", async () => {
    await using directory = await temporaryDirectory();
    const state = join(directory.path, "node");
    expect(await ask(stateCheck, doctorContext({ state }))).toMatchObject({ verdict: "failed", code: "STATE_MISSING" });
    await mkdir(state, { mode: 0o700 });
    expect(await ask(stateCheck, doctorContext({ state }))).toMatchObject({ verdict: "ok" });
    await writeFile(join(state, "device.key"), "", { mode: 0o600 });
    await chmod(join(state, "device.key"), 0o640);
    expect(await ask(stateCheck, doctorContext({ state }))).toMatchObject({
      verdict: "failed",
      code: "STATE_UNREADABLE",
      seen: expect.stringContaining("device.key"),
      fix: `chmod -R go= ${state}`,
    });
  });

  it("is not changed by looking at it, not even by a lock file", async () => {
    await using directory = await temporaryDirectory();
    await pairState(directory.path, await createAuthority());
    const before = await readdir(directory.path);
    const context = doctorContext({ state: directory.path, now: Date.now() });
    for (const check of [stateCheck, identityCheck, processCheck, outboxCheck, certificateCheck]) {
      expect(await ask(check, context)).toMatchObject({ verdict: "ok" });
    }
    expect(await readdir(directory.path)).toEqual(before);
  });

  it("says whether a node runs on it, and that it is none that was paired", async () => {
    await using directory = await temporaryDirectory();
    const context = doctorContext({ state: directory.path });
    expect(await ask(identityCheck, context)).toMatchObject({ verdict: "failed", code: "NODE_NOT_PAIRED" });
    await pairState(directory.path, await createAuthority());
    using _lock = lockState(layoutOf(directory.path).lock);
    expect(await ask(processCheck, context)).toMatchObject({ verdict: "ok", details: { isRunning: true } });
    await writeFile(
      layoutOf(directory.path).status,
      JSON.stringify({
        kind: "waiting",
        at: 0,
        pid: 7,
        unacknowledged: 3,
        error: { code: "GATEWAY_BUSY", message: "full" },
      }),
    );
    expect(await ask(processCheck, context)).toMatchObject({ verdict: "warning", code: "GATEWAY_BUSY" });
    expect(await ask(outboxCheck, context)).toMatchObject({ details: { unacknowledged: 3 } });
  });

  it("whose events the gateway does not take now says why, as long as it holds", async () => {
    await using directory = await temporaryDirectory();
    const context = doctorContext({ state: directory.path });
    const throttled = { reason: "store", since: 0, until: context.clock.now() };
    const reported = { kind: "online", at: 0, pid: 7, unacknowledged: 3, throttled } as const;
    expect(await ask(outboxCheck, { ...context, reported })).toMatchObject({
      verdict: "warning",
      code: "EVENTS_THROTTLED",
      seen: expect.stringContaining("the gateway has no room for events: they wait here; 3 events wait"),
      fix: expect.stringContaining("quaymesh gateway doctor"),
    });
    const over = { ...reported, throttled: { ...throttled, until: context.clock.now() - 60_000 } };
    expect(await ask(outboxCheck, { ...context, reported: over })).toMatchObject({ verdict: "ok" });
  });

  it("whose key is gone is told how to pair again without losing what waits, and of no backup", async () => {
    await using one = await temporaryDirectory();
    await pairState(one.path, await createAuthority());
    await rm(layoutOf(one.path).key);
    const found = await ask(identityCheck, doctorContext({ state: one.path }));
    expect(found).toMatchObject({ verdict: "failed", code: "DEVICE_KEY_MISSING" });
    expect(found.fix).toContain("quaymesh pair --device NAME");
    expect(found.fix).not.toMatch(/backup|leave/u);
  });

  it("whose key is another than its certificate's is damaged", async () => {
    await using one = await temporaryDirectory();
    await using other = await temporaryDirectory();
    const authority = await createAuthority();
    await pairState(one.path, authority);
    const key = await pairState(other.path, authority);
    await writeFile(layoutOf(one.path).key, key.privatePem().reveal());
    const found = await ask(identityCheck, doctorContext({ state: one.path }));
    expect(found).toMatchObject({ verdict: "failed", code: "STATE_CORRUPT", seen: expect.stringContaining("key") });
  });
});

describe("the certificate", () => {
  it.each([
    ["fresh", 0, "ok", undefined],
    ["due for renewal", 20 * DAY, "ok", undefined],
    ["about to run out", 28 * DAY, "warning", "CERTIFICATE_EXPIRED"],
    ["run out", 31 * DAY, "failed", "CERTIFICATE_EXPIRED"],
    ["of the future", -DAY, "failed", "CLOCK_SKEW"],
    // Ten minutes are tolerated: it is dated back by as much.
    ["of a clock nine minutes ahead", -9 * 60_000, "ok", undefined],
  ])("%s, with its dates and this clock", async (_what, offMs, verdict, code) => {
    await using directory = await temporaryDirectory();
    const made = Date.now();
    await pairState(directory.path, await createAuthority());
    const identity = await loadIdentity(layoutOf(directory.path));
    const found = await ask(certificateCheck, doctorContext({ identity, now: made + offMs }));
    expect({ verdict: found.verdict, code: found.code }).toEqual({ verdict, code });
    expect(found.details).toMatchObject({ clock: new Date(made + offMs).toISOString(), certificates: [{}, {}, {}] });
    if (verdict === "failed") expect(found.seen).toContain(new Date(made + offMs).toISOString());
  });
});

describe("names", () => {
  const lookup = (name: string): Promise<readonly string[]> =>
    name === "gw.example"
      ? Promise.resolve(["192.0.2.10", "2001:db8::1"])
      : Promise.reject(Object.assign(new Error("no"), { code: "ENOTFOUND" }));

  it.each([
    [["192.0.2.10"], "ok", ["192.0.2.10"]],
    [["gw.example"], "ok", ["192.0.2.10", "2001:db8::1"]],
    [["gone.example", "gw.example"], "warning", ["192.0.2.10", "2001:db8::1"]],
    [["gone.example"], "failed", []],
  ])("%j are %s", async (hosts, verdict, ips) => {
    const identity = identityAt(...hosts.map((host) => ({ host, port: 7420 })));
    const context = doctorContext({ identity, lookup });
    const found = await ask(namesCheck, context);
    expect(found.verdict).toBe(verdict);
    if (verdict !== "ok") expect(found.seen).toContain("gone.example is not known (ENOTFOUND)");
    expect(context.endpoints?.flatMap((endpoint) => endpoint.ips)).toEqual(ips);
  });
});

describe("udp", () => {
  const answers = async (...kinds: readonly ProbeAnswer[]) => {
    const endpoints = kinds.map((_, at) => ({
      endpoint: { host: `192.0.2.${at}`, port: 7420 },
      ips: [`192.0.2.${at}`],
    }));
    const context = doctorContext({
      endpoints,
      probe: ({ host }) => Promise.resolve(kinds[Number(host.split(".")[3])] ?? { kind: "silent" }),
    });
    return { found: await ask(udpCheck, context), reachable: context.reachable };
  };

  it.each<[ProbeAnswer, string, RegExp, RegExp]>([
    [{ kind: "refused" }, "GATEWAY_UNREACHABLE", /nothing listens/u, /gateway status/u],
    [{ kind: "silent" }, "GATEWAY_UNREACHABLE", /no answer/u, /7420\/udp/u],
    [{ kind: "unroutable", errno: "ENETUNREACH" }, "GATEWAY_UNREACHABLE", /ENETUNREACH/u, /network/u],
    [{ kind: "forbidden", errno: "EPERM" }, "GATEWAY_UNREACHABLE", /own rules/u, /nft/u],
    [{ kind: "foreign" }, "GATEWAY_PROTOCOL", /not a gateway/u, /Another service/u],
    [{ kind: "too-long" }, "GATEWAY_UNREACHABLE", /1200/u, /MTU/u],
  ])("tells $kind from the others, each with its own remedy", async (answer, code, seen, fix) => {
    const { found, reachable } = await answers(answer);
    expect(found).toMatchObject({ verdict: "failed", code });
    expect(found.seen).toMatch(seen);
    expect(found.fix).toMatch(fix);
    expect(reachable).toEqual([]);
  });

  it("needs one address that answers; the others are told of", async () => {
    const { found, reachable } = await answers({ kind: "silent" }, { kind: "answered", roundTripMs: 1 });
    expect(found).toMatchObject({ verdict: "warning" });
    expect(reachable).toEqual([{ host: "192.0.2.1", port: 7420 }]);
  });
});

describe("mtu", () => {
  const upTo = (most: number, how: "silent" | "too-long" = "silent") =>
    doctorContext({
      reachable: [GATEWAY],
      probe: (_, { bytes }) =>
        Promise.resolve(bytes <= most ? { kind: "answered", roundTripMs: 1 } : ({ kind: how } as const)),
    });

  it.each([
    [65_000, "ok", 8972],
    [1472, "ok", 1472],
    [1350, "ok", 1350],
    [1300, "warning", 1280],
    [1200, "warning", 1200],
  ])("a path of %i bytes is %s, and %i get through", async (most, verdict, longest) => {
    for (const how of ["silent", "too-long"] as const) {
      const found = await ask(mtuCheck, upTo(most, how));
      expect(found).toMatchObject({ verdict, details: { longest } });
      if (verdict === "warning") expect(found.fix).toContain(`--datagram-bytes ${longest}`);
    }
  });

  it("looks for the size that is used, whatever it is", async () => {
    const found = await ask(mtuCheck, { ...upTo(1472), datagramBytes: 4000 });
    expect(found).toMatchObject({ verdict: "warning", details: { used: 4000, lost: [4000, 8972] } });
  });
});

describe("the clock", () => {
  const off = (ms: number, roundTripMs = 10) => {
    const gateway = Date.parse("2026-11-20T12:00:00Z");
    const time = { gateway, here: gateway + ms, roundTripMs };
    return doctorContext({ dialed: { kind: "accepted", address: GATEWAY, attempt: "a1", handshakeMs: 1, time } });
  };

  it.each([
    [0, "ok"],
    [-30_000, "ok"],
    [60_000, "warning"],
    [-599_000, "warning"],
    [601_000, "failed"],
    [-86_400_000, "failed"],
  ])("off by %i ms is %s, with both clocks", async (ms, verdict) => {
    const found = await ask(clockCheck, off(ms));
    expect(found).toMatchObject({ verdict, details: { offMs: ms, gatewayClock: "2026-11-20T12:00:00.000Z" } });
    if (verdict === "ok") return;
    expect(found.code).toBe("CLOCK_SKEW");
    expect(found.seen).toContain(ms > 0 ? "ahead of" : "behind");
    expect(found.seen).toContain("2026-11-20T12:00:00.000Z");
    expect(found.seen).toContain(new Date(Date.parse("2026-11-20T12:00:00Z") + ms).toISOString());
  });

  it("is not called wrong for what a slow network may explain, and not known where nobody tells", async () => {
    expect(await ask(clockCheck, off(60_000, 60_000))).toMatchObject({ verdict: "ok" });
    expect(await ask(clockCheck, doctorContext())).toMatchObject({ verdict: "skipped" });
    const untold = { kind: "accepted", address: GATEWAY, attempt: undefined, handshakeMs: 1 } as const;
    expect(await ask(clockCheck, doctorContext({ dialed: untold }))).toMatchObject({ verdict: "skipped" });
  });
});
