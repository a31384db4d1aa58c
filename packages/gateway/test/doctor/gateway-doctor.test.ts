/** What a gateway's doctor finds, check by check; beside a running one too in test/e2e/doctor.test.ts. */
import { randomBytes } from "node:crypto";
import dgram from "node:dgram";
import { once } from "node:events";
import { chmod, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { GATEWAY_CHECKS } from "../../src/doctor/gateway-doctor.ts";
import { certificatesCheck, keysCheck } from "../../src/doctor/keys-check.ts";
import { ask, contextOf, DAY, running, stateDirectory } from "./support.ts";
import { buffersCheck, filesCheck, placesCheck } from "../../src/doctor/machine-checks.ts";
import { addressesCheck, portsCheck } from "../../src/doctor/network-checks.ts";
import { pairingCheck, refusalsCheck } from "../../src/doctor/people-checks.ts";
import { processCheck } from "../../src/doctor/process-check.ts";
import { stateCheck } from "../../src/doctor/state-check.ts";
import { clockCheck, storeCheck } from "../../src/doctor/store-check.ts";

test("docs/doctor.md names every check, in their order", async () => {
  const page = await readFile(new URL("../../../../docs/doctor.md", import.meta.url), "utf8");
  const section = /## On a gateway\n(.*?)\n##/su.exec(page)?.[1] ?? "";
  const named = [...section.matchAll(/^\| `([\w-]+)` \|/gmu)].map((row) => row[1]);
  expect(named).toEqual(GATEWAY_CHECKS.map(({ name }) => name));
});

describe("a gateway that does not run", () => {
  test("is looked at on its disk, which stays as it is", async () => {
    await using state = await stateDirectory();
    const before = await readdir(state.path, { recursive: true });
    const context = contextOf({ state: state.path });
    expect(await ask(stateCheck, context)).toMatchObject({ verdict: "ok" });
    expect(await ask(processCheck, context)).toMatchObject({ verdict: "warning", code: "GATEWAY_UNREACHABLE" });
    for (const check of [keysCheck, storeCheck, certificatesCheck]) {
      expect(await ask(check, context)).toMatchObject({ verdict: "ok" });
    }
    expect(await readdir(state.path, { recursive: true })).toEqual(before);
  });

  test("whose state others can read says which file, and how to close it", async () => {
    await using state = await stateDirectory();
    await chmod(state.layout.authorityKey, 0o644);
    expect(await ask(stateCheck, contextOf({ state: state.path }))).toMatchObject({
      verdict: "failed",
      code: "STATE_NOT_PRIVATE",
      seen: expect.stringContaining("authority.key"),
      fix: `chmod -R go= ${state.path}`,
    });
  });

  test("whose sealing key is another, or gone, cannot open its keys", async () => {
    await using state = await stateDirectory();
    await writeFile(state.layout.authorityKey, `${randomBytes(32).toString("base64")}\n`, { mode: 0o600 });
    expect(await ask(keysCheck, contextOf({ state: state.path }))).toMatchObject({ verdict: "failed" });
    await rm(state.layout.authorityKey);
    const found = await ask(keysCheck, contextOf({ state: state.path }));
    expect(found).toMatchObject({ verdict: "failed", code: "AUTHORITY_UNREADABLE" });
  });

  test("whose ports are taken says so", async () => {
    const taken = dgram.createSocket("udp4");
    taken.bind(0, "127.0.0.1");
    await once(taken, "listening");
    const listen = [{ host: "127.0.0.1", port: taken.address().port }];
    expect(await ask(portsCheck, contextOf({ listen }))).toMatchObject({ verdict: "failed", code: "PORT_IN_USE" });
    taken.close();
    await once(taken, "close");
    expect(await ask(portsCheck, contextOf({ listen }))).toMatchObject({ verdict: "ok" });
    const foreign = [{ host: "192.0.2.1", port: 0 }];
    expect(await ask(portsCheck, contextOf({ listen: foreign }))).toMatchObject({ code: "ADDRESS_UNAVAILABLE" });
  });

  test("with a clock behind its authority, or years ahead, can issue nothing", async () => {
    await using state = await stateDirectory();
    for (const now of [Date.now() - 30 * DAY, Date.now() + 40 * 365 * DAY]) {
      const context = contextOf({ state: state.path, now });
      await ask(keysCheck, context);
      expect(await ask(certificatesCheck, context)).toMatchObject({ verdict: "failed" });
    }
  });
});

test.each([
  [-61_000, "failed"],
  [-59_000, "ok"],
  [DAY, "ok"],
])("a clock %i ms after the newest event is %s", async (offMs, verdict) => {
  const newestEventAt = Date.parse("2026-11-20T12:00:00Z");
  const found = await ask(clockCheck, contextOf({ newestEventAt, now: newestEventAt + offMs }));
  expect(found.verdict).toBe(verdict);
  if (verdict === "failed") expect(found.seen).toContain("2026-11-20T12:00:00.000Z");
  expect(await ask(clockCheck, contextOf())).toMatchObject({ verdict: "skipped" });
});

describe("a gateway that runs", () => {
  test.each([
    ["leaf", 0, 365, 10, "ok"],
    ["leaf", 0, 365, 200, "warning"],
    ["leaf", 0, 365, 366, "failed"],
    ["intermediate", 0, 3650, 3640, "warning"],
    ["root", 0, 7300, 7301, "failed"],
    ["root", 0, 7300, -1, "failed"],
  ])("shows a %s of the days %i to %i; on day %i it is %s", async (name, from, until, day, verdict) => {
    const certificates = [{ name, notBefore: from * DAY, notAfter: until * DAY }];
    const found = await ask(
      certificatesCheck,
      contextOf({ now: day * DAY, running: running({ diagnosis: { certificates } }) }),
    );
    expect(found.verdict).toBe(verdict);
    if (day < 0) expect(found.code).toBe("CLOCK_SKEW");
  });

  test("answers on every address it is bound to, those that stand for all on loopback", async () => {
    const asked: string[] = [];
    const listening = ["0.0.0.0:7420", "[::]:7420", "192.0.2.10:7420"];
    const context = contextOf({
      running: running({ diagnosis: { listening } }),
      probe: ({ host, port }) => {
        asked.push(`${host} ${port}`);
        return Promise.resolve(host === "192.0.2.10" ? { kind: "silent" } : { kind: "answered", roundTripMs: 1 });
      },
    });
    const found = await ask(portsCheck, context);
    expect(asked).toEqual(["127.0.0.1 7420", "::1 7420", "192.0.2.10 7420"]);
    expect(found).toMatchObject({ verdict: "failed", seen: expect.stringContaining("192.0.2.10:7420") });
  });

  test.each([
    [["192.0.2.10:7420"], "ok"],
    [["127.0.0.1:7420"], "warning"],
    [["gw.example:7420", "[::1]:7420"], "ok"],
    [["203.0.113.5:7420"], "warning"],
    [["gone.example:7420"], "failed"],
  ])("tells nodes %j, which is %s", async (addresses, verdict) => {
    const lookup = (name: string) =>
      name === "gw.example" ? Promise.resolve(["192.0.2.10"]) : Promise.reject(new Error("no"));
    expect(await ask(addressesCheck, contextOf({ lookup, running: running({ addresses }) }))).toMatchObject({
      verdict,
    });
  });

  test.each([
    [{ connections: 10 }, "ok"],
    [{ connections: 240 }, "warning"],
    [{ connections: 10, refused: { busy: 1 } }, "warning"],
    [{ connections: 10, refused: { shape: 1000, revoked: 2 } }, "ok"],
  ])("with %j has places left: %s", async (told, verdict) => {
    expect(await ask(placesCheck, contextOf({ running: running(told) }))).toMatchObject({ verdict });
  });

  test.each([
    [{ wanted: false, pid: undefined, faults: 0 }, "ok"],
    [{ wanted: true, pid: 7, faults: 0 }, "ok"],
    [{ wanted: true, pid: 7, faults: 2, lastFault: "it exited" }, "warning"],
    [{ wanted: true, pid: undefined, faults: 2, lastFault: "the port is taken" }, "failed"],
  ])("has a pairing process with %j: %s", async (health, verdict) => {
    const pairing = { addresses: [], lastFault: undefined, ...health };
    expect(await ask(pairingCheck, contextOf({ running: running({ diagnosis: { pairing } }) }))).toMatchObject({
      verdict,
    });
  });

  test("says whom it refused in the last hour, as what, and what that asks for, the attempt by name", async () => {
    const now = Date.parse("2026-11-20T12:00:00Z");
    const refusal = { reason: "x", remote: "192.0.2.7:40000", attempt: "a1", device: undefined, detail: undefined };
    const refused = [
      { ...refusal, at: now - 1000, verdict: "busy" },
      { ...refusal, at: now - 2000, verdict: "other" },
      { ...refusal, at: now - 3000, verdict: "a word of a later version" },
      { ...refusal, at: now - DAY, verdict: "revoked" },
    ];
    const found = await ask(refusalsCheck, contextOf({ now, running: running({ diagnosis: { refused } }) }));
    expect(found).toMatchObject({ verdict: "warning", code: "GATEWAY_BUSY" });
    expect(found.seen).toBe("in the last hour: busy 1, a word of a later version 1");
    expect(found.fix).toContain("--max-connections");
    expect(found.fix).toContain("11:59:59 busy from 192.0.2.7:40000 attempt a1");
    const quiet = contextOf({ now, running: running({ diagnosis: { refused: refused.slice(3) } }) });
    expect(await ask(refusalsCheck, quiet)).toMatchObject({ verdict: "ok" });
  });
});

describe("the machine", () => {
  const proc = (files: Record<string, string>) => contextOf({ readProc: (path) => Promise.resolve(files[path]) });

  test.each([
    ["4194304", "ok"],
    ["212992", "warning"],
  ])("gives UDP sockets %s bytes: %s", async (bytes, verdict) => {
    const files = { "/proc/sys/net/core/rmem_max": `${bytes}\n`, "/proc/sys/net/core/wmem_max": "8388608\n" };
    expect(await ask(buffersCheck, proc(files))).toMatchObject({ verdict });
  });

  test.each([
    ["1024", "ok"],
    ["unlimited", "ok"],
    ["256", "warning"],
  ])("allows %s open files: %s", async (soft, verdict) => {
    const files = {
      "/proc/self/limits": `Limit  Soft  Hard  Units\nMax open files            ${soft}       524288     files\n`,
    };
    expect(await ask(filesCheck, proc(files))).toMatchObject({ verdict });
  });

  test("that has no /proc is not guessed about", async () => {
    for (const check of [buffersCheck, filesCheck])
      expect(await ask(check, proc({}))).toMatchObject({ verdict: "skipped" });
  });
});
