import { CrashingFiles } from "../../packages/node/test/support/crashing-files.ts";
import type { OutboxFile, OutboxFiles } from "../../packages/node/src/outbox/files.ts";
import type { Process } from "./process.ts";
import type { Random } from "./random.ts";

/** How a machine dies: its process alone, or with the power and so without what was not synced. */
export type CrashKind = "kill" | "power-cut";

/** What goes wrong with a disk, once. */
export type DiskFault = "sync-fails" | "short-write" | "full-once";

/** A disk with latency and faults. Every operation takes time and happens at one moment, so a crash can come before it or after. */
export class SimDisk {
  readonly #random: Random;
  readonly #omitSync: boolean;
  #files = new CrashingFiles();
  #image: CrashingFiles | undefined;
  #full = false;
  #slow = 1;

  /** @param options.omitSync a disk, or a program, that says it synced and did not */
  constructor(random: Random, options: { readonly omitSync?: boolean } = {}) {
    this.#random = random;
    this.#omitSync = options.omitSync ?? false;
  }

  get full(): boolean {
    return this.#full;
  }

  /** Nothing more can be written until it is freed. */
  set full(full: boolean) {
    this.#full = full;
  }

  /** How many times slower than usual. */
  set slow(factor: number) {
    this.#slow = factor;
  }

  fault(kind: DiskFault): void {
    const bytes = this.#random.between(1, 600);
    if (kind === "sync-fails") this.#files.faults = { failSync: true };
    else this.#files.faults = kind === "short-write" ? { shortWrite: bytes } : { fullAfter: bytes };
  }

  /** What is due to go wrong does not. */
  heal(): void {
    this.#files.faults = {};
    this.#full = false;
    this.#slow = 1;
  }

  /** The process that used it is gone; with a power cut, so is what was not synced: any sector of it, in any order. */
  crash(kind: CrashKind): void {
    const disk = this.#files.snapshotForCrash();
    disk.faults = {};
    if (kind === "power-cut") disk.powerCut(() => this.#random.chance(0.5));
    this.#files = disk;
  }

  /** Copy it as it is, in the middle of whatever is written. */
  takeImage(): void {
    this.#image = this.#files.snapshotForCrash();
  }

  /** Put the last image back. Nobody may be using the disk. */
  putBack(): void {
    if (this.#image === undefined) return;
    this.#files = this.#image.snapshotForCrash();
    this.#files.faults = {};
  }

  /** The disk as `process` uses it. */
  mount(process: Process): OutboxFiles {
    const files = this.#files;
    const run = <T>(work: () => Promise<T>): Promise<T> => process.later(this.#latency(), work);
    return {
      makeDirectory: () => files.makeDirectory(),
      list: (directory) => run(() => files.list(directory)),
      open: async (path, how) => {
        const file = await run(() => (how === "create" && this.#full ? noSpace() : files.open(path, how)));
        return this.#file(file, run);
      },
      remove: (path) => run(() => files.remove(path)),
      removeDirectory: () => files.removeDirectory(),
      syncDirectory: (directory) => run(async () => (this.#omitSync ? undefined : files.syncDirectory(directory))),
    };
  }

  #file(file: OutboxFile, run: <T>(work: () => Promise<T>) => Promise<T>): OutboxFile {
    return {
      write: (bytes, position) => {
        const copy = bytes.slice();
        return run(() => (this.#full ? noSpace() : file.write(copy, position)));
      },
      read: (into, position) => run(() => file.read(into, position)),
      size: () => file.size(),
      truncate: (length) => run(() => file.truncate(length)),
      sync: () => run(async () => (this.#omitSync ? undefined : file.sync())),
      close: () => file.close(),
    };
  }

  #latency(): number {
    return (0.05 + this.#random.next() * 2) * this.#slow;
  }
}

async function noSpace(): Promise<never> {
  throw Object.assign(new Error("no space"), { code: "ENOSPC" });
}
