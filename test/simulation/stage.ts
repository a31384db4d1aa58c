import { eventRows } from "../../packages/gateway/src/store/event-rows.ts";
import type { Job, Reply } from "../../packages/gateway/src/store/sqlite/wire.ts";
import type { FakeTrust } from "../../packages/gateway/test/support/fake-trust.ts";
import type { NodeLogLine } from "../../packages/node/src/node-options.ts";
import { SimGateway, type SimGatewayOptions } from "./actors/gateway.ts";
import { deviceIdOf, SimNode, type NodeParts, type SimNodeOptions } from "./actors/node.ts";
import type { Broken } from "./broken.ts";
import { SimDisk } from "./disk.ts";
import { arrange, type Inhabitant, type Scene, type Site } from "./faults.ts";
import type { LogRow } from "./model/log.ts";
import { ModelLog } from "./model/log.ts";
import { Holds, MODEL } from "./holds.ts";
import { Recorded } from "./model/recorded.ts";
import { SimNetwork } from "./net/network.ts";
import { Path } from "./net/path.ts";
import type { Plan } from "./plan.ts";
import type { Machine } from "./process.ts";
import { Random } from "./random.ts";
import { labelsOf, Readership } from "./readership.ts";
import { Violation } from "./violation.ts";
import { World } from "./world.ts";

/** A machine with a node on it that has paired before. */
interface NodeSite extends Site {
  readonly node: SimNode;
}

/** What a scenario adds to the common stage. */
export interface StageHooks {
  readonly trust?: () => FakeTrust;
  readonly node?: (index: number) => Partial<Pick<SimNodeOptions, "extras" | "onEnd">>;
  readonly onCommit?: (jobs: readonly Job[], replies: readonly Reply[]) => void;
  readonly onNodeCrash?: (site: NodeSite, how: "kill" | "power-cut") => void;
  /** What runs on the plan's machines, where it is no node that has paired before. */
  readonly inhabit?: (index: number, place: Omit<Site, "node">) => Inhabitant;
  readonly pairing?: SimGatewayOptions["pairing"];
}

/** What a gateway says as an error and what follows from a store that refuses, as its weather is at times. */
const REFUSALS = new Set(["STORE_FULL"]);

/** Why an honest node does not stop to publish to an honest gateway. */
const FAULTS = new Set(["GATEWAY_PROTOCOL", "OUTBOX_CORRUPT", "UNKNOWN"]);

/** A gateway, nodes, readers, what lies between them, and the model of what they have to do. */
export class Stage {
  readonly plan: Plan;
  readonly world = new World();
  readonly recorded = new Recorded();
  readonly log = new ModelLog(this.recorded);
  readonly gateway: SimGateway;
  readonly sites: readonly NodeSite[];
  readonly network: SimNetwork;
  readonly readership: Readership;
  readonly scene: Scene;
  readonly #random: Random;
  readonly #retired = new Set<number>();
  readonly #hooks: StageHooks;
  readonly #broken: Broken;
  /** Where retention is at work: who needs the log, and from where. */
  readonly #holds: Holds | undefined;
  #violation: Violation | undefined;

  constructor(plan: Plan, hooks: StageHooks, broken: Broken) {
    this.plan = plan;
    this.#hooks = hooks;
    this.#broken = broken;
    const random = new Random(plan.seed);
    this.#random = random;
    this.network = new SimNetwork(plan.windowBytes);
    const gatewayMachine: Machine = { name: "gateway", random: random.fork("gateway"), wallOffsetMs: 0 };
    this.gateway = new SimGateway({
      world: this.world,
      network: this.network,
      machine: gatewayMachine,
      onGroup: (jobs) => this.#holds?.settle(jobs),
      onCommit: (jobs, replies) => this.guard(() => this.#onCommit(jobs, replies)),
      onError: (what, cause) => {
        // Of an old copy of an outbox the gateway says so: that is its word.
        if (!this.#isOldCopy(cause)) this.onError(what, cause);
      },
      ...(broken.store !== undefined && { sabotage: broken.store }),
      omitSync: broken.gatewayOmitsSync ?? false,
      ...(plan.keep !== undefined && { keep: plan.keep }),
      ...(hooks.trust !== undefined && { trust: hooks.trust }),
      ...(hooks.pairing !== undefined && { pairing: hooks.pairing }),
    });
    this.#holds = plan.keep === undefined ? undefined : new Holds(this.gateway.database);
    const { inhabit } = hooks;
    const indices = Array.from({ length: plan.nodes }, (_, index) => index);
    this.sites = inhabit === undefined ? indices.map((index) => this.#site(index)) : [];
    const machines = inhabit === undefined ? this.sites : indices.map((index) => this.#inhabited(index, inhabit));
    this.readership = new Readership({
      plan,
      log: this.log,
      holds: this.#holds,
      cursorFirst: broken.cursorFirst ?? false,
      guard: (check) => this.guard(check),
      onError: (what, cause) => this.onError(what, cause),
    });
    this.scene = {
      world: this.world,
      gateway: this.gateway,
      gatewayMachine,
      sites: machines,
      readers: this.readership.readers,
      onError: (what, cause) => this.onError(what, cause),
      onNodeCrash: (struck, how) => {
        const site = this.sites.find((each) => each === struck);
        if (site === undefined) return;
        this.recorded.crashed(site.node.options.deviceId, how);
        hooks.onNodeCrash?.(site, how);
      },
      onImage: (copied) => {
        const site = this.sites.find((each) => each === copied);
        const outbox = site?.node.parts?.outbox;
        if (site === undefined || outbox === undefined) return false;
        const { durable, epoch } = outbox;
        this.recorded.imaged(site.node.options.deviceId, { durable, epoch });
        return true;
      },
      onPutBack: (site) => {
        const { deviceId } = this.sites.find((each) => each === site)?.node.options ?? {};
        if (deviceId !== undefined) this.recorded.putBack(deviceId, (epoch) => this.log.watermark(deviceId, epoch));
      },
    };
    this.gateway.onStart((core, process) => {
      this.guard(() => this.log.checkSurvived(this.#committed()));
      this.readership.readAt(core, process);
    });
  }

  /** The first thing that went wrong. */
  get violation(): Violation | undefined {
    return this.#violation;
  }

  /** Start everything, and let the plan's faults come. */
  begin(): void {
    this.gateway.start();
    for (const { node } of this.scene.sites) node.start();
    arrange(this.plan.faults, this.scene);
  }

  /** Remember the first violation. */
  fail(violation: Violation): void {
    this.#violation ??= violation;
  }

  /** Run a check. */
  guard(check: () => void): void {
    try {
      check();
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.fail(error);
    }
  }

  /** What honest programs do not come to. */
  onError(what: string, cause: unknown): void {
    if (cause instanceof Violation) return this.fail(cause);
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    if (REFUSALS.has(code)) return undefined;
    const detail = cause instanceof Error ? `${code} ${cause.stack ?? cause.message}` : JSON.stringify(cause);
    return this.fail(new Violation("no-surprises", `${what}: ${detail}`));
  }

  /** After every step. */
  check(): void {
    for (const { node } of this.sites) {
      const { parts } = node;
      if (parts === undefined) continue;
      const { outbox } = parts;
      const { deviceId } = node.options;
      const committed = this.log.watermark(deviceId, outbox.epoch);
      this.recorded.checkLetGo(deviceId, outbox.epoch, outbox.acked);
      if (outbox.acked > committed) {
        const what = `${deviceId} let go of ${String(outbox.acked)}, committed is ${String(committed)}`;
        throw new Violation("acknowledged-is-committed", what);
      }
    }
  }

  /** Whether everything has arrived everywhere. */
  get isDrained(): boolean {
    if (this.recorded.missing > 0 || !this.recorded.isTold || this.gateway.core === undefined) return false;
    const quiet = this.sites.every(({ node }, index) => {
      if (this.isRetired(index)) return true;
      const outbox = node.parts?.outbox;
      return outbox !== undefined && outbox.acked === outbox.durable;
    });
    return quiet && this.readership.isDone((index) => this.isRetired(index));
  }

  /** What is still on its way, for people. */
  describeRest(): string {
    const nodes = this.sites.map(({ node, machine }) => {
      const outbox = node.parts?.outbox;
      return `${machine.name} ${node.state?.kind ?? "down"} ${String(outbox?.acked)}/${String(outbox?.durable)}`;
    });
    const untold = this.recorded.isTold ? "" : "a node has not said that its disk is an old one; ";
    const rest = `${untold}${String(this.recorded.missing)} events not in the log, which ends at ${String(this.log.latest)}`;
    return [rest, ...nodes, ...this.readership.describe()].join("; ");
  }

  /** The device of this node is cut off: nothing is expected of it any more. */
  retire(index: number): void {
    this.#retired.add(index);
    this.recorded.released(deviceIdOf(index));
  }

  /** Whether {@link Stage.retire} was called. */
  isRetired(index: number): boolean {
    return this.#retired.has(index);
  }

  /** One more machine, with a node of this device; it is not started. */
  addMachine(name: string, options: Pick<SimNodeOptions, "deviceId" | "onOpen"> & Partial<SimNodeOptions>): NodeSite {
    const { machine, disk, path } = this.addPlace(name);
    const { outbox } = this.#broken;
    const node = new SimNode({
      world: this.world,
      network: this.network,
      machine,
      disk,
      stutter: this.plan.stutter,
      packs: this.plan.packs,
      onError: (what, cause) => this.onError(what, cause),
      ...(outbox !== undefined && { sabotage: outbox }),
      ...options,
    });
    return { machine, node, disk, path };
  }

  /** One more machine, with nothing on it. */
  addPlace(name: string): Omit<Site, "node"> {
    const machine: Machine = { name, random: this.#random.fork(name), wallOffsetMs: 0 };
    const disk = new SimDisk(this.#random.fork(`${name} disk`), { omitSync: this.#broken.nodeOmitsSync ?? false });
    const path = new Path(this.world, this.#random.fork(`${name} path`));
    this.network.addPath(name, path);
    return { machine, disk, path };
  }

  #inhabited(index: number, inhabit: NonNullable<StageHooks["inhabit"]>): Site {
    const place = this.addPlace(`node-${String(index)}`);
    return { ...place, node: inhabit(index, place) };
  }

  #site(index: number): NodeSite {
    const deviceId = deviceIdOf(index);
    this.gateway.enroll(deviceId, labelsOf(index));
    const onOpen = (parts: NodeParts): void => this.#onOpen(index, deviceId, parts);
    const onLog = (line: NodeLogLine): void => this.guard(() => this.#onLog(deviceId, line));
    return this.addMachine(`node-${String(index)}`, { deviceId, onOpen, onLog, ...this.#hooks.node?.(index) });
  }

  #onOpen(index: number, deviceId: string, parts: NodeParts): void {
    this.guard(() => {
      const promised = this.recorded.lastPromised(deviceId, parts.outbox.epoch);
      if (parts.outbox.durable < promised) {
        const what = `${deviceId} was promised ${String(promised)} and has ${String(parts.outbox.durable)} after its restart`;
        throw new Violation("recorded-is-durable", what);
      }
    });
    this.readership.readOn(index, parts);
  }

  #isOldCopy(fields: unknown): boolean {
    if (typeof fields !== "object" || fields === null || !("seqs" in fields && "device" in fields)) return false;
    return this.recorded.wasPutBack(String(fields.device));
  }

  #onLog(deviceId: string, { event, message, details }: NodeLogLine): void {
    if (event === "outbox.renumbered" && this.#broken.tellsNothing !== true)
      this.recorded.renumbered(deviceId, message);
    if (event === "publish.failed" && FAULTS.has(String(details?.["code"]))) this.onError("publishing failed", message);
  }

  #onCommit(jobs: readonly Job[], replies: readonly Reply[]): void {
    // A revocation is in the log with what it changes.
    for (let more = jobs.some(({ unit }) => unit.startsWith("events.") || unit === "devices.revoke"); more;) {
      const page = this.gateway.database.read("events.read", {
        after: this.log.latest,
        limit: 10_000,
        maxBytes: 1e9,
        filter: {},
      });
      const rows: readonly LogRow[] = eventRows(page);
      this.log.append(rows);
      more = rows.length > 0 && page.scannedTo < page.latest;
    }
    this.#holds?.release(MODEL, this.log.latest);
    this.#hooks.onCommit?.(jobs, replies);
  }

  #committed(): number {
    return this.gateway.database.read("events.bounds", undefined).latest;
  }
}
