/** What the tests of a gateway's doctor work with. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Authority, createKeyFile, KeyStore } from "@quaymesh/identity";
import type { Check, CheckResult } from "@quaymesh/protocol";
import type { GatewayDoctorContext, RunningGateway } from "../../src/doctor/context.ts";
import { stateLayout } from "../../src/daemon/state-directory.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { FakeClock } from "../support/fake-clock.ts";

/** Milliseconds. */
export const DAY = 86_400_000;
/** For what must not be called. */
const unasked = (what: string) => () => Promise.reject(new Error(`${what} was not to be asked`));

/** What a check is given, with nothing there but what is said. */
export function contextOf(
  facts: Partial<GatewayDoctorContext> & { readonly state?: string; readonly now?: number } = {},
) {
  const { state = "/nowhere", now = Date.now(), ...rest } = facts;
  const context: GatewayDoctorContext = {
    layout: stateLayout(state),
    sealing: {},
    listen: [],
    probe: unasked("probe"),
    lookup: unasked("lookup"),
    ownAddresses: () => ["192.0.2.10"],
    readProc: () => Promise.resolve(undefined),
    clock: Object.assign(new FakeClock(), { now: () => now }),
    ...rest,
  };
  return context;
}

/** What a check finds. */
export const ask = async (check: Check<GatewayDoctorContext>, context: GatewayDoctorContext): Promise<CheckResult> =>
  await check.run(context);

/** A state directory as a first start leaves it, without the start. */
export async function stateDirectory(now = Date.now()) {
  const path = await mkdtemp(join(tmpdir(), "quaymesh-gateway-doctor-"));
  const layout = stateLayout(path);
  const key = await createKeyFile(layout.authorityKey);
  await Authority.create({ store: await KeyStore.open(layout.authority, { key }), meshName: "harbor", now });
  await using _store = await openSqliteStore({ path: layout.database, generationPath: layout.generation });
  return { path, layout, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** What {@link running} tells. */
export interface Told {
  readonly diagnosis?: Partial<RunningGateway["diagnosis"]>;
  readonly refused?: Record<string, number>;
  readonly connections?: number;
  readonly addresses?: readonly string[];
  readonly log?: Partial<RunningGateway["stats"]["log"]>;
}

/** A gateway that runs and says this. */
export function running({ diagnosis, refused = {}, connections = 1, addresses = [], log = {} }: Told): RunningGateway {
  const told = {
    status: { meshAddresses: addresses, rootFingerprint: "ab".repeat(32) },
    stats: {
      transport: { connections, refused },
      store: { state: "ok", queued: 0 },
      log: { damaged: 0, checkedTo: 7, lapsed: 0, heldBy: [], maxAgeMs: DAY, clockBehindMs: 0, ...log },
    },
    diagnosis: {
      pid: process.pid,
      listening: [],
      maxConnections: 256,
      certificates: [],
      pairing: { wanted: false, pid: undefined, faults: 0, lastFault: undefined, addresses: [] },
      refused: [],
      ...diagnosis,
    },
  };
  return told as unknown as RunningGateway;
}
