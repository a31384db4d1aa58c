import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deviceIdOf } from "../../../test/chaos/rig/enrol.ts";
import { makeMesh } from "../../../test/chaos/rig/mesh.ts";
import { quantile } from "../stats.ts";
import { OURS, type Budget, type Rig, type RigOptions, type Sample } from "../suite.ts";
import { Helper } from "./helper.ts";
import { FLOOD_KIND, TICK_KIND } from "./payload.ts";
import { eventsWorkOf } from "./rows.ts";

/** Quiet nodes beside the one that floods. */
const CROWD = 50;
const TICK_EVERY_MS = 10;
const QUIET_EVERY_MS = 500;
/** What a replay reads at least. */
const REPLAY_MS = 3000;

/** A gateway, publishers and a reader, each in a process of its own, and one more for the store alone. */
export class EventsRig implements Rig {
  readonly #options: RigOptions;
  readonly #directory: string;
  readonly #gateway: Helper;
  readonly #publisher: Helper;
  readonly #reader: Helper;
  readonly #store: Helper;
  /** Events that were published as fast as it goes: what there is to read again, at least. */
  #flooded = 0;

  private constructor(options: RigOptions, directory: string, helpers: readonly [Helper, Helper, Helper, Helper]) {
    this.#options = options;
    this.#directory = directory;
    [this.#gateway, this.#publisher, this.#reader, this.#store] = helpers;
  }

  /** Make a mesh and start everybody. */
  static async open(options: RigOptions): Promise<EventsRig> {
    const { profileDir } = options;
    const directory = await mkdtemp(join(tmpdir(), "quaymesh-bench-events-"));
    const state = join(directory, "gateway");
    const stateOf = (index: number) => join(directory, `device-${String(index)}`);
    const device = (index: number, labels: readonly string[]) => {
      return { deviceId: deviceIdOf(index), labels, state: stateOf(index) };
    };
    const [reader, ...publishers] = Array.from({ length: CROWD + 2 }, (_, index) => index);
    if (reader === undefined) throw new RangeError("nobody reads");
    const all = [device(reader, ["events-reader"]), ...publishers.map((index) => device(index, []))];
    await makeMesh(state, all);
    await mkdir(join(directory, "store"));
    const gateway = await Helper.start({ kind: "gateway", state }, profileDir);
    const { port } = gateway;
    const publisher = await Helper.start({ kind: "publisher", states: publishers.map(stateOf), port }, profileDir);
    const reading = await Helper.start({ kind: "reader", state: stateOf(reader), port, gateway: state }, profileDir);
    const store = await Helper.start({ kind: "store", directory: join(directory, "store") }, profileDir);
    return new EventsRig(options, directory, [gateway, publisher, reading, store]);
  }

  async measure(name: string, system: string, budget: Budget): Promise<Sample> {
    const work = eventsWorkOf(name);
    const { warmupMs, measureMs } = budget;
    switch (work) {
      case "durable":
        return system === OURS ? await this.#durable(budget) : await this.#raw(budget);
      case "latency":
        await this.#latency(warmupMs);
        return await this.#latency(measureMs);
      case "replay":
      case "replay-operator":
        return await this.#replay(work === "replay" ? "node" : "operator", budget);
      case "growth":
        return await this.#growth(measureMs);
      case "fair":
        return await this.#fair(measureMs);
      default:
        return work satisfies never;
    }
  }

  async #durable({ warmupMs, measureMs }: Budget): Promise<Sample> {
    await this.#flood(warmupMs);
    return await this.#flood(measureMs);
  }

  async #flood(ms: number): Promise<Sample> {
    const processes = [this.#publisher, this.#gateway, this.#reader] as const;
    await this.#reader.ask("follow", { kind: FLOOD_KIND });
    const before = await Promise.all(processes.map((one) => one.ask("cpu", null)));
    const { events, firstAt } = await this.#publisher.ask("flood", { ms });
    const { lastAt } = await this.#reader.ask("await", { events });
    const after = await Promise.all(processes.map((one) => one.ask("cpu", null)));
    const cpu = after.map(({ micros }, index) => (micros - (before[index]?.micros ?? 0)) / events);
    const [node = 0, gateway = 0, reader = 0] = cpu;
    this.#flooded += events;
    return {
      value: events / ((lastAt - firstAt) / 1000),
      extra: { "CPU µs": node + gateway + reader, "node µs": node, "gateway µs": gateway, "reader µs": reader },
    };
  }

  async #raw({ warmupMs, measureMs }: Budget): Promise<Sample> {
    await this.#store.ask("raw", { ms: warmupMs });
    const before = await this.#store.ask("cpu", null);
    const { rate } = await this.#store.ask("raw", { ms: measureMs });
    const after = await this.#store.ask("cpu", null);
    const micros = (after.micros - before.micros) / ((rate * measureMs) / 1000);
    return { value: rate, extra: { "CPU µs": micros } };
  }

  async #latency(ms: number): Promise<Sample> {
    await this.#reader.ask("follow", { kind: TICK_KIND });
    const { events } = await this.#publisher.ask("tick", { ms, everyMs: TICK_EVERY_MS });
    const { delaysMs } = await this.#reader.ask("await", { events });
    return { value: quantile(delaysMs, 0.5), extra: { "ms p99": quantile(delaysMs, 0.99) } };
  }

  async #replay(by: "node" | "operator", { measureMs }: Budget): Promise<Sample> {
    if (this.#flooded === 0) await this.#flood(REPLAY_MS);
    const processes = [this.#gateway, this.#reader] as const;
    const before = await Promise.all(processes.map((one) => one.ask("cpu", null)));
    const { events, seconds } = await this.#reader.ask("replay", { ms: measureMs, by, logEvents: this.#flooded });
    const after = await Promise.all(processes.map((one) => one.ask("cpu", null)));
    const [gateway = 0, reader = 0] = after.map(
      ({ micros }, index) => (micros - (before[index]?.micros ?? 0)) / events,
    );
    return { value: events / seconds, extra: { "gateway µs": gateway, "reader µs": reader } };
  }

  async #growth(ms: number): Promise<Sample> {
    const logEvents = this.#options.settings["log-events"] ?? 0;
    this.#options.note(`a log of ${String(logEvents)} events`);
    const { empty, full } = await this.#store.ask("grow", { ms, logEvents });
    return {
      value: empty.rate / full.rate,
      extra: {
        "empty/s": empty.rate,
        "full/s": full.rate,
        "empty µs": empty.micros,
        "full µs": full.micros,
      },
    };
  }

  async #fair(ms: number): Promise<Sample> {
    const { waitsMs } = await this.#publisher.ask("crowd", { ms, everyMs: QUIET_EVERY_MS });
    return {
      value: quantile(waitsMs, 0.99),
      extra: { "ms p50": quantile(waitsMs, 0.5), events: waitsMs.length },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of [this.#reader, this.#publisher, this.#store, this.#gateway]) await one[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true, force: true });
  }
}
