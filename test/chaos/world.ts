/** A gateway, nodes and a reader, each in a process of its own, over QUIC; what is done to them, and what they come to. */
import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { stateLayout } from "@quaymesh/gateway";
import { Audit, type Rule } from "./audit.ts";
import { CONTROLS, type ControlName } from "./controls.ts";
import { hear } from "./hear.ts";
import { checkDatabase, readLog } from "./log-file.ts";
import { SmallDisk } from "./rig/disk.ts";
import type { GatewaySetup } from "./rig/gateway-child.ts";
import { deviceIdOf } from "./rig/enrol.ts";
import { makeMesh, type NewDevice } from "./rig/mesh.ts";
import type { NodeSetup } from "./rig/node-child.ts";
import { Post } from "./rig/post.ts";
import type { ReaderSetup } from "./rig/reader-child.ts";
import { FAULT_WINDOW_MS, type DiskName, type Fault, type Targets } from "./schedule.ts";

/** Options of {@link World.open}. */
export interface WorldOptions {
  readonly nodes: number;
  /** Publishing at once in each node. */
  readonly writers: number;
  /** State on disks that can be filled, where this machine lets us mount them. */
  readonly smallDisks: boolean;
  readonly control: ControlName | undefined;
  /** Where Node keeps compiled sources between starts. */
  readonly cache: string;
  readonly signal: AbortSignal;
}

/** What a cycle came to. */
export interface CycleResult {
  /** Events of ours that came into the log in this cycle. */
  readonly events: number;
  /** From the last fault to everything at rest, milliseconds. */
  readonly settleMs: number;
}

/** From here on something hangs. */
const SETTLE_MS = 60_000;
const LOOK_AGAIN_MS = 5;
/** Names the events of a process: this many starts of one node are told apart. */
const RUNS = 10_000;
const GATEWAY = "gateway";
const READER = "reader";

interface NodePost {
  readonly post: Post;
  paused: boolean;
  drained: boolean;
}

/** See the top of the file. */
export class World implements AsyncDisposable {
  readonly audit = new Audit();
  readonly #options: WorldOptions;
  readonly #directory: string;
  readonly #disks = new Map<DiskName, SmallDisk>();
  readonly #posts = new Map<string, Post>();
  readonly #nodes = new Map<string, NodePost>();
  /** Disks that were full in this cycle: a process may end of it. */
  readonly #filled = new Set<DiskName>();
  /** Whether nodes publish now. */
  #goes = false;
  #port = 0;
  /** The last event that the reader has acted on. */
  #readTo = 0;
  #cursor: { readonly log: string; readonly offset: number } | undefined;

  private constructor(directory: string, options: WorldOptions) {
    this.#directory = directory;
    this.#options = options;
  }

  /** Make a mesh, start all processes and wait until they are up. */
  static async open(options: WorldOptions): Promise<World> {
    const world = new World(await mkdtemp(join(tmpdir(), "quaymesh-chaos-")), options);
    try {
      await world.#start();
      return world;
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What faults can hit. */
  get targets(): Targets {
    return { posts: [...this.#posts.keys()], disks: [...this.#disks.keys()] };
  }

  /** Processes started so far. */
  get starts(): number {
    return [...this.#posts.values()].reduce((sum, { starts }) => sum + starts, 0);
  }

  /** Publish, let `faults` strike, come to rest, and compare. @throws rethrows `signal.reason` */
  async cycle(faults: readonly Fault[]): Promise<CycleResult> {
    const { signal } = this.#options;
    const before = this.audit.events;
    this.#filled.clear();
    this.#goes = true;
    for (const node of this.#nodes.values()) {
      node.paused = node.drained = false;
      node.post.say("go");
    }
    await Promise.all([...faults.map((fault) => this.#strike(fault)), delay(FAULT_WINDOW_MS)]);
    const began = performance.now();
    const settled = await this.#settle();
    signal.throwIfAborted();
    if (settled) this.audit.settled();
    return { events: this.audit.events - before, settleMs: performance.now() - began };
  }

  /** Kill the gateway once more, and let SQLite judge what it left. */
  async finish(): Promise<void> {
    await this.#post(GATEWAY)[Symbol.asyncDispose]();
    this.#look();
    const verdict = checkDatabase(this.#database);
    if (verdict !== "ok") this.audit.note("surprise", `the gateway's database: ${verdict}`);
  }

  get #database(): string {
    return stateLayout(join(this.#directory, "gateway", "state")).database;
  }

  async #start(): Promise<void> {
    const { nodes, smallDisks } = this.#options;
    for (const disk of ["gateway", "nodes"] as const) {
      const path = join(this.#directory, disk);
      const mounted = smallDisks ? SmallDisk.mount(path) : undefined;
      if (mounted !== undefined) this.#disks.set(disk, mounted);
      await mkdir(path, { recursive: true, mode: 0o700 });
    }
    const names = Array.from({ length: nodes }, (_, index) => `node-${String(index)}`);
    const devices = [...names, READER].map((name, index): NewDevice => ({
      deviceId: deviceIdOf(index),
      labels: name === READER ? ["events-reader"] : [],
      state: this.#stateOf(name),
    }));
    await makeMesh(join(this.#directory, "gateway", "state"), devices);
    this.#port = await lastingPort();
    this.#man(GATEWAY, () => this.#gatewaySetup());
    this.#port = Number(await this.#post(GATEWAY).ready);
    for (const [index, name] of names.entries()) this.#manNode(index, name);
    this.#man(READER, () => this.#readerSetup());
    await Promise.all([...this.#posts.values()].map(({ ready }) => ready));
  }

  #stateOf(name: string): string {
    // The reader is never short of space: it is there to look.
    return name === READER ? join(this.#directory, READER) : join(this.#directory, "nodes", name);
  }

  #gatewaySetup(): GatewaySetup {
    return { state: join(this.#directory, "gateway", "state"), port: this.#port, control: this.#options.control };
  }

  #readerSetup(): ReaderSetup {
    const { control } = this.#options;
    return { state: this.#stateOf(READER), port: this.#port, after: this.#cursor, control };
  }

  #manNode(index: number, name: string): void {
    const { writers, control } = this.#options;
    const run = (start: number): number => index * RUNS + start;
    const setup = (start: number): NodeSetup => ({
      state: this.#stateOf(name),
      port: this.#port,
      run: run(start),
      writers,
      goes: this.#goes,
      control,
    });
    const post = this.#man(name, setup, (line, start) => {
      const node = this.#nodes.get(name);
      if (node === undefined) return;
      if (line.startsWith("paused")) node.paused = true;
      else if (line.startsWith("state")) this.audit.note("not-settled", `${name}: ${line}`);
      else if (line === "drained") node.drained = true;
      else hear(this.audit, run(start), line);
    });
    this.#nodes.set(name, { post, paused: false, drained: false });
  }

  #man(name: string, setup: (start: number) => unknown, onLine?: (line: string, start: number) => void): Post {
    const kind = name.startsWith("node-") ? "node" : name;
    const script = new URL(`rig/${kind}-child.ts`, import.meta.url);
    const post = new Post({
      name,
      victim: (start, told) => ({ script, setup: setup(start), cache: this.#options.cache, onLine: told }),
      onLine: onLine ?? ((line) => this.#hearReader(line)),
      onOwnEnd: (who, what) => this.#onOwnEnd(who, what),
    });
    this.#posts.set(name, post);
    return post;
  }

  #hearReader(line: string): void {
    const [word, log = "", offset, device = "", seq, bytes] = line.split(" ");
    if (word !== "e" && word !== "c") return;
    // One that is saved ahead of the deed stays ahead.
    if (Number(offset) > (this.#cursor?.offset ?? 0)) this.#cursor = { log, offset: Number(offset) };
    if (word === "c") return;
    this.#readTo = Number(offset);
    this.audit.read({ offset: Number(offset), device, seq: Number(seq), bytes: Number(bytes) });
  }

  #onOwnEnd(name: string, what: string): void {
    const disk: DiskName = name === GATEWAY ? "gateway" : "nodes";
    // It is started again until there is room.
    if (this.#filled.has(disk) && name !== READER && /FULL|ENOSPC/.test(what)) return;
    this.audit.note("ended-by-itself", `${name}: ${what}`);
  }

  #post(name: string): Post {
    const post = this.#posts.get(name);
    if (post === undefined) throw new RangeError(`there is no ${name}`);
    return post;
  }

  async #strike(fault: Fault): Promise<void> {
    await delay(fault.at);
    switch (fault.kind) {
      case "kill":
        for (const name of fault.whom) this.#post(name).kill(fault.restartMs);
        return;
      case "stop": {
        const resume = this.#post(fault.whom).stop();
        await delay(fault.forMs);
        return resume();
      }
      case "fill": {
        const disk = this.#disks.get(fault.disk);
        this.#filled.add(fault.disk);
        disk?.fill();
        await delay(fault.forMs);
        return disk?.free();
      }
      default:
        fault satisfies never;
    }
  }

  /** Everybody up, nobody publishing, every outbox empty, the reader at the end of the log. @returns whether it came to that */
  async #settle(): Promise<boolean> {
    const stop = performance.now() + SETTLE_MS;
    const signal = AbortSignal.any([this.#options.signal, AbortSignal.timeout(SETTLE_MS)]);
    const until = async (what: string, holds: () => boolean): Promise<boolean> => {
      while (!holds()) {
        if (this.#options.signal.aborted || this.#isNoticed()) return false;
        if (performance.now() > stop) {
          this.audit.note("not-settled", what);
          return false;
        }
        await delay(LOOK_AGAIN_MS);
      }
      return true;
    };
    this.#goes = false;
    for (const { post } of this.#nodes.values()) post.say("pause");
    for (const post of this.#posts.values()) {
      const isUp = await isReady(post, signal);
      // Whoever is interrupted in the middle has found nothing.
      if (this.#options.signal.aborted) return false;
      if (!isUp) this.audit.note("not-settled", `${post.name} is not up`);
    }
    // Whoever was started meanwhile has not heard it.
    for (const { post, paused } of this.#nodes.values()) if (!paused) post.say("pause");
    for (const [name, node] of this.#nodes) {
      const outbox = `the outbox of ${name} is not empty`;
      if (!(await until(outbox, () => node.paused && node.drained))) {
        node.post.say("state");
        await delay(500);
        return false;
      }
    }
    this.#look();
    return await until("the reader is not at the end", () => this.#readTo >= this.audit.latest);
  }

  /** Whether what was broken on purpose has shown: what comes after such a fault need not come right. */
  #isNoticed(): boolean {
    const { control } = this.#options;
    if (control === undefined) return false;
    const rules: readonly Rule[] = CONTROLS[control].rules;
    return this.audit.violations.some(({ rule }) => rules.includes(rule));
  }

  #look(): void {
    const { rows, quarantined } = readLog(this.#database, this.audit.latest);
    this.audit.log(rows);
    if (quarantined > 0) this.audit.note("quarantined", `${quarantined} events`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#posts.values()].map((post) => post[Symbol.asyncDispose]()));
    for (const disk of this.#disks.values()) disk[Symbol.dispose]();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

async function isReady(post: Post, signal: AbortSignal): Promise<boolean> {
  const { promise: aborted, resolve } = Promise.withResolvers<boolean>();
  signal.addEventListener("abort", () => resolve(false), { once: true });
  if (signal.aborted) resolve(false);
  return await Promise.race([aborted, post.ready.then(() => true)]);
}

/** Below what the kernel gives to whoever asks for any port (32768 and up on Linux): while the gateway is down nobody takes it by chance. */
async function lastingPort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 30_000);
    const socket = createSocket("udp4");
    const free = await new Promise<boolean>((resolve) => {
      socket.once("error", () => resolve(false));
      socket.bind(port, "127.0.0.1", () => resolve(true));
    });
    socket.close();
    if (free) return port;
  }
}
