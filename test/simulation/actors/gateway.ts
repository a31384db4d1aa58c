import { GatewayCore } from "@quaymesh/gateway";
import type { Store } from "../../../packages/gateway/src/store/port.ts";
import type { Job, Reply } from "../../../packages/gateway/src/store/sqlite/wire.ts";
import { fakeCredentials, FakeTrust } from "../../../packages/gateway/test/support/fake-trust.ts";
import { SimDatabase } from "../database.ts";
import { GATEWAY_ADDRESS, type SimNetwork } from "../net/network.ts";
import { Process, type Machine } from "../process.ts";
import { openSimStore, type Sabotage, type StoreWeather } from "../store.ts";
import { EPOCH_MS, type World } from "../world.ts";

/** Every mesh is this one. */
export const MESH_ID = "simulatedsimulat";

/** How long whoever watches over the process waits before it starts it again. */
const RESTART_MS = 1000;

/** What {@link SimGateway} takes. */
export interface SimGatewayOptions {
  readonly world: World;
  readonly network: SimNetwork;
  readonly machine: Machine;
  readonly onGroup: (jobs: readonly Job[]) => void;
  readonly onCommit: (jobs: readonly Job[], replies: readonly Reply[]) => void;
  /** Something the gateway calls an error, or that nobody caught. */
  readonly onError: (what: string, cause: unknown) => void;
  readonly sabotage?: Sabotage;
  readonly omitSync?: boolean;
  /** Events it keeps. */
  readonly keep?: number;
  /** What handshakes ask; a new one for each start. */
  readonly trust?: () => FakeTrust;
  /** What stands on a core that has opened, and is closed before it drains. */
  readonly pairing?: (parts: CoreOnline) => Promise<SimPairing>;
}

/** A gateway's core and what it stands on. */
export interface CoreOnline {
  readonly core: GatewayCore;
  readonly store: Store;
  readonly process: Process;
}

/** Pairing on a gateway, as its machine sees it. */
export interface SimPairing extends AsyncDisposable {
  /** The pairing endpoint's process dies. */
  crashEndpoint(): void;
}

/** The machine the gateway runs on. The gateway is the real one: core, sessions, ingest, dispatch and the store's units. */
export class SimGateway {
  readonly database: SimDatabase;
  readonly weather: StoreWeather = { commitMs: 3, full: false };
  readonly #options: SimGatewayOptions;
  readonly #onStart = new Set<(core: GatewayCore, process: Process) => void>();
  #process: Process | undefined;
  #core: GatewayCore | undefined;
  #pairing: SimPairing | undefined;

  constructor(options: SimGatewayOptions) {
    this.#options = options;
    this.database = new SimDatabase({ omitSync: options.omitSync ?? false });
  }

  /** The gateway that runs now, if one does and has started. */
  get core(): GatewayCore | undefined {
    return this.#process?.alive === true ? this.#core : undefined;
  }

  get process(): Process | undefined {
    return this.#process;
  }

  /** Called with each start. */
  onStart(begin: (core: GatewayCore, process: Process) => void): void {
    this.#onStart.add(begin);
  }

  /** Pair a device, before the first start. */
  enroll(deviceId: string, labels: readonly string[]): void {
    const spkiSha256 = Buffer.from(deviceId.padEnd(32, ".")).toString("hex");
    const times = { notBefore: 0, notAfter: EPOCH_MS * 2, issuedAt: 0 };
    const serial = `serial-${deviceId}`;
    const certificate = { serial, deviceId, spkiSha256, ...times, state: "active", chain: [] } as const;
    const name = `name-${deviceId}`;
    this.database.write("devices.enroll", {
      deviceId,
      name,
      labels,
      purpose: "",
      platform: "",
      certificate,
      now: EPOCH_MS,
    });
    this.database.sync();
  }

  start(): void {
    const { world, machine } = this.#options;
    const process = new Process(world, machine);
    this.#process = process;
    this.#core = undefined;
    this.#open(process).catch((error: unknown) => {
      this.#options.onError("the gateway did not start", error);
      process.after(RESTART_MS, () => {
        process.kill();
        this.start();
      });
    });
  }

  /** The pairing endpoint's process dies, if one runs. */
  crashEndpoint(): void {
    if (this.core !== undefined) this.#pairing?.crashEndpoint();
  }

  /** SIGKILL, or the power: to a store that keeps its promises it is the same. */
  crash(): void {
    this.#process?.kill();
    this.#core = undefined;
    this.database.crash(this.#options.machine.random.between(1, 4));
  }

  /** Tell every node, then stop. @returns when it has stopped */
  async drain(): Promise<void> {
    const { core } = this;
    const pairing = this.#pairing;
    this.#core = undefined;
    this.#pairing = undefined;
    await pairing?.[Symbol.asyncDispose]();
    await core?.drain({ retryAfterMs: 500, graceMs: 100 });
  }

  async #open(process: Process): Promise<void> {
    const { network, onGroup, onCommit, machine, sabotage, keep } = this.#options;
    const store = openSimStore({
      database: this.database,
      process,
      random: machine.random,
      weather: this.weather,
      onGroup,
      onCommit,
      ...(sabotage !== undefined && { sabotage }),
    });
    const core = await GatewayCore.open({
      store,
      transport: network.transport(process),
      credentials: fakeCredentials("gateway"),
      anchorsPem: "root",
      trust: this.#options.trust?.() ?? new FakeTrust(),
      issuer: { issueDeviceLeaf: () => Promise.reject(new Error("no issuer")) },
      address: GATEWAY_ADDRESS,
      meshId: MESH_ID,
      ...(keep !== undefined && { retention: { maxEvents: keep } }),
      clock: process.gatewayClock,
      logger: { debug() {}, info() {}, warn() {}, error: (fields, message) => this.#onLog(fields, message) },
    });
    if (this.#process !== process) return;
    const pairing = await this.#options.pairing?.({ core, store, process });
    if (this.#process !== process) return;
    this.#pairing = pairing;
    this.#core = core;
    for (const begin of this.#onStart) begin(core, process);
  }

  #onLog(fields: Readonly<Record<string, unknown>>, message: string): void {
    this.#options.onError(message, fields["error"] ?? fields);
  }
}
