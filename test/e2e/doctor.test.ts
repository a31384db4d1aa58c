/** A node's doctor and its gateway's log say the same of the same attempt: real processes, one word, one name. */
import { cp, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Authority, KeyStore, createKeyFile, readKeyFile } from "@quaymesh/identity";
import { expect, test, vi } from "vitest";
import { createAuthority, pairState } from "../../packages/node/test/support/paired-state.ts";
import { pairNode, quaymesh, Running, startGateway, temporaryDirectory, type Line } from "./support.ts";

// Each test starts several processes, and the whole suite may run beside it on two cores.
vi.setConfig({ testTimeout: 180_000 });

const DAY = 86_400_000;

interface Finding {
  readonly check: string;
  readonly verdict: string;
  readonly code?: string;
  readonly seen: string;
  readonly fix?: string;
  readonly details?: Line;
}

/** What `node doctor` found. */
async function doctor(
  state: string,
): Promise<{ readonly exit: number | null; readonly of: (check: string) => Finding }> {
  const { exit, stdout, stderr } = await quaymesh(["node", "doctor", "--state", state, "--json"]);
  if (stdout === "") throw new Error(stderr);
  const { findings } = JSON.parse(stdout) as { readonly findings: readonly Finding[] };
  const of = (check: string): Finding => {
    const found = findings.find((finding) => finding.check === check);
    if (found === undefined) throw new Error(`no check ${check}`);
    return found;
  };
  return { exit, of };
}

/** Lines of a gateway's log. */
const linesOf = (stderr: string): readonly Line[] =>
  stderr
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Line);

/** A gateway's state whose authority was made 60 days ago: a certificate of that time has run out, and the authority has not. */
async function oldState(directory: string): Promise<void> {
  const key = await createKeyFile(join(directory, "authority.key"));
  const store = await KeyStore.open(join(directory, "authority"), { key });
  await Authority.create({ store, meshName: "harbor", now: Date.now() - 60 * DAY });
}

/** The authority of a gateway's state. */
async function authorityOf(directory: string): Promise<Authority> {
  const key = await readKeyFile(join(directory, "authority.key"));
  return await Authority.open({ store: await KeyStore.open(join(directory, "authority"), { key }) });
}

const at = (address: string) => {
  const [host = "", port = ""] = address.split(":");
  return { host, port: Number(port) };
};

/** A node that is kept out: made ready, examined, and what was found. */
interface Kept {
  readonly what: string;
  readonly exit: number;
  /** The check that fails, and its code. */
  readonly check: "admission" | "pin";
  readonly code: string;
  /** Both sides' word. */
  readonly verdict: string;
  /** Make the state of a node that this becomes of. */
  readonly prepare: (gateway: { readonly state: string; readonly address: string }, state: string) => Promise<void>;
}

/** A state as pairing with `authority` at a certain time would have left it; the gateway knows nothing of it. */
const pretend =
  (authority: (state: string) => Promise<Authority>, offMs = 0): Kept["prepare"] =>
  async (gateway, state) => {
    await mkdir(state, { mode: 0o700 });
    const addresses = [at(gateway.address)];
    await pairState(state, await authority(gateway.state), { addresses, now: Date.now() + offMs });
  };

const online = async (state: string): Promise<void> => {
  await using node = new Running(["node", "run", "--state", state]);
  await node.line((line) => line["state"] === "online");
};

const KEPT: readonly Kept[] = [
  {
    what: "revoked",
    exit: 17,
    check: "admission",
    code: "DEVICE_REVOKED",
    verdict: "revoked",
    prepare: async (gateway, state) => {
      await pairNode(gateway.state, state, "sold");
      await quaymesh(["device", "revoke", "sold", "--yes", "--state", gateway.state]);
    },
  },
  {
    what: "unknown",
    exit: 19,
    check: "admission",
    code: "DEVICE_UNKNOWN",
    verdict: "unknown",
    prepare: pretend(authorityOf),
  },
  {
    what: "expired",
    exit: 19,
    check: "admission",
    code: "CERTIFICATE_EXPIRED",
    verdict: "expired",
    prepare: pretend(authorityOf, -60 * DAY),
  },
  {
    what: "not valid yet, as after a clock was set back",
    exit: 19,
    check: "admission",
    code: "CLOCK_SKEW",
    verdict: "expired",
    prepare: pretend(authorityOf, 2 * DAY),
  },
  {
    what: "of another mesh, where it is the node that refuses",
    exit: 13,
    check: "pin",
    code: "GATEWAY_PIN_MISMATCH",
    verdict: "untrusted",
    prepare: pretend(() => createAuthority("elsewhere")),
  },
  {
    what: "frozen, since an old copy of its state was used",
    exit: 19,
    check: "admission",
    code: "DEVICE_FROZEN",
    verdict: "frozen",
    prepare: async (gateway, state) => {
      await pairNode(gateway.state, state, "twin");
      await online(state);
      await cp(state, `${state}-copy`, { recursive: true });
      await online(state);
      await online(state);
      const { error } = await quaymesh(["node", "run", "--no-retry", "--state", `${state}-copy`, "--json"]);
      expect(error?.code).toBe("DEVICE_FROZEN");
    },
  },
];

test("whoever is kept out hears the word that the gateway logs for the same attempt", async () => {
  await using directory = await temporaryDirectory();
  const state = directory.path("gateway");
  await mkdir(state, { mode: 0o700 });
  await oldState(state);
  await using gateway = await startGateway(state);
  const heard: { readonly what: string; readonly verdict: string; readonly attempt: string }[] = [];
  for (const [index, { what, exit, check, code, verdict, prepare }] of KEPT.entries()) {
    const node = directory.path(`node-${index}`);
    await prepare(gateway, node);
    const found = await doctor(node);
    const { verdict: outcome, details } = found.of(check);
    expect({ what, exit: found.exit, outcome, code: found.of(check).code }).toEqual({
      what,
      exit,
      outcome: "failed",
      code,
    });
    expect({ what, verdict: details?.["verdict"] }).toEqual({ what, verdict });
    heard.push({ what, verdict, attempt: String(details?.["attempt"]) });
  }
  const examined = await quaymesh(["gateway", "doctor", "--state", gateway.state, "--json"]);
  const { findings } = JSON.parse(examined.stdout) as { readonly findings: readonly Finding[] };
  expect(findings.filter(({ verdict }) => verdict === "failed")).toEqual([]);
  const recent = findings.find(({ check }) => check === "refusals")?.details?.["recent"] as readonly Line[];
  const { stderr } = await gateway.running.end();
  for (const { what, verdict, attempt } of heard) {
    const lines = linesOf(stderr).filter((line) => line["attempt"] === attempt);
    expect({ what, verdicts: lines.map((line) => line["verdict"]) }).toEqual({ what, verdicts: [verdict] });
    expect(recent).toContainEqual(expect.objectContaining({ attempt, verdict }));
  }
});

test("a node that is well: everything is fine, and one that runs meanwhile keeps its session", async () => {
  await using directory = await temporaryDirectory();
  await using gateway = await startGateway(directory.path("gateway"));
  const state = directory.path("node");
  await pairNode(gateway.state, state, "well");
  await using node = new Running(["node", "run", "--state", state]);
  await node.line((line) => line["state"] === "online");
  const { exit, of } = await doctor(state);
  expect(exit).toBe(0);
  expect(of("process")).toMatchObject({ details: { isRunning: true, state: "online" } });
  expect(of("admission")).toMatchObject({ verdict: "ok", details: { verdict: "accepted" } });
  expect(of("clock")).toMatchObject({ verdict: "ok", details: { offMs: expect.any(Number) } });
  const { stdout } = await quaymesh(["gateway", "stats", "--state", gateway.state, "--json"]);
  expect(JSON.parse(stdout)).toMatchObject({ sessions: { online: 1, opened: 1, superseded: 0 } });
});

test("a node that finds its gateway full: the same word and name on both sides", async () => {
  await using directory = await temporaryDirectory();
  await using gateway = await startGateway(directory.path("gateway"), "--max-connections", "1");
  const state = directory.path("node");
  await pairNode(gateway.state, state, "box");
  await using node = new Running(["node", "run", "--state", state]);
  await node.line((line) => line["state"] === "online");
  const { exit, of } = await doctor(state);
  expect(exit).toBe(6);
  expect(of("udp").verdict).toBe("ok");
  expect(of("pin").verdict).toBe("skipped");
  expect(of("admission")).toMatchObject({ verdict: "failed", code: "GATEWAY_BUSY", details: { verdict: "busy" } });
  await node.end();
  const { stderr } = await gateway.running.end();
  const attempt = of("admission").details?.["attempt"];
  expect(linesOf(stderr).filter((line) => line["attempt"] === attempt)).toMatchObject([
    { verdict: "busy", code: "GATEWAY_BUSY" },
  ]);
});
