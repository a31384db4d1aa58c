import { basename, dirname } from "node:path";
import type { OutboxFile, OutboxFiles } from "../../src/outbox/files.ts";

type Pending =
  | { readonly kind: "write"; readonly position: number; readonly bytes: Uint8Array }
  | { readonly kind: "truncate"; readonly length: number };

interface Inode {
  current: Uint8Array;
  durable: Uint8Array;
  pending: Pending[];
}

/** What goes wrong next, once each. */
export interface Faults {
  /** fsync of a file fails, and, as on Linux, what it should have written counts as clean from then on. */
  failSync?: boolean;
  /** A write takes only this many bytes; the next goes on. */
  shortWrite?: number;
  /** A write takes this many bytes and the disk is full. */
  fullAfter?: number;
}

const SECTOR_BYTES = 512;

/**
 * A disk in memory that forgets what was not synced: {@link CrashingFiles.powerCut} keeps, for every write since the last fsync, any of its
 * sectors, and for every directory entry since, the old or the new.
 */
export class CrashingFiles implements OutboxFiles {
  faults: Faults = {};
  #entries = new Map<string, Inode>();
  #durableEntries = new Map<string, Inode>();

  async makeDirectory(): Promise<void> {}

  async list(directory: string): Promise<readonly string[]> {
    const names = new Set<string>();
    for (const path of this.#entries.keys()) {
      if (dirname(path) === directory) names.add(basename(path));
      if (dirname(dirname(path)) === directory) names.add(basename(dirname(path)));
    }
    return [...names];
  }

  async open(path: string, how: "create" | "existing"): Promise<OutboxFile> {
    let inode = this.#entries.get(path);
    if (how === "create") {
      if (inode !== undefined) throw Object.assign(new Error(`exists: ${path}`), { code: "EEXIST" });
      inode = { current: new Uint8Array(), durable: new Uint8Array(), pending: [] };
      this.#entries.set(path, inode);
    }
    if (inode === undefined) throw Object.assign(new Error(`missing: ${path}`), { code: "ENOENT" });
    return this.#file(inode);
  }

  async remove(path: string): Promise<void> {
    if (!this.#entries.delete(path)) throw Object.assign(new Error(`missing: ${path}`), { code: "ENOENT" });
  }

  /** Directories are there as long as something is in them. */
  async removeDirectory(): Promise<void> {}

  async syncDirectory(directory: string): Promise<void> {
    for (const path of this.#durableEntries.keys()) {
      if (dirname(path) === directory && !this.#entries.has(path)) this.#durableEntries.delete(path);
    }
    for (const [path, inode] of this.#entries) if (dirname(path) === directory) this.#durableEntries.set(path, inode);
  }

  /** The disk as a process that dies now leaves it: nothing written is lost, and what the old process still does no longer reaches it. */
  snapshotForCrash(): CrashingFiles {
    const copies = new Map<Inode, Inode>();
    const copyOf = (inode: Inode): Inode => {
      const copy = copies.get(inode) ?? { current: inode.current, durable: inode.durable, pending: [...inode.pending] };
      copies.set(inode, copy);
      return copy;
    };
    const disk = new CrashingFiles();
    disk.#entries = new Map([...this.#entries].map(([path, inode]) => [path, copyOf(inode)]));
    disk.#durableEntries = new Map([...this.#durableEntries].map(([path, inode]) => [path, copyOf(inode)]));
    return disk;
  }

  /** The machine dies. `keep` says for each thing in doubt whether it made it. */
  powerCut(keep: (what: "entry" | "content") => boolean): void {
    const after = new Map<string, Inode>();
    for (const path of new Set([...this.#entries.keys(), ...this.#durableEntries.keys()])) {
      const before = this.#durableEntries.get(path);
      const now = this.#entries.get(path);
      const survivor = before === now || keep("entry") ? now : before;
      if (survivor !== undefined) after.set(path, survivor);
    }
    for (const inode of after.values()) settle(inode, () => keep("content"));
    this.#entries = after;
    this.#durableEntries = new Map(after);
  }

  /** Change bytes behind everyone's back. */
  corrupt(path: string, change: (bytes: Uint8Array) => Uint8Array): void {
    const inode = this.#entries.get(path);
    if (inode === undefined) throw new Error(`no ${path}`);
    inode.current = change(inode.current.slice());
    inode.durable = inode.current.slice();
  }

  /** All paths, sorted. */
  paths(): string[] {
    return [...this.#entries.keys()].sort();
  }

  #file(inode: Inode): OutboxFile {
    return {
      write: async (bytes, position) => {
        const taken = this.#admit(bytes.length);
        const part = bytes.slice(0, Math.abs(taken));
        inode.current = written(inode.current, part, position);
        inode.pending.push({ kind: "write", position, bytes: part });
        if (taken < 0 || Object.is(taken, -0)) throw Object.assign(new Error("no space"), { code: "ENOSPC" });
        return part.length;
      },
      async read(into, position) {
        const part = inode.current.subarray(position, position + into.length);
        into.set(part);
        return part.length;
      },
      size: async () => inode.current.length,
      async truncate(length) {
        inode.current = resized(inode.current, length);
        inode.pending.push({ kind: "truncate", length });
      },
      sync: async () => {
        const pending = inode.pending;
        inode.pending = [];
        if (this.faults.failSync === true) {
          this.faults = {};
          throw Object.assign(new Error("input/output error"), { code: "EIO" });
        }
        for (const change of pending) apply(inode, change);
      },
      close: async () => {},
    };
  }

  /** Bytes that a write of `length` takes; negative (or -0) when it fails after that. */
  #admit(length: number): number {
    const { shortWrite, fullAfter } = this.faults;
    this.faults = { ...(this.faults.failSync !== undefined && { failSync: this.faults.failSync }) };
    if (fullAfter !== undefined) return -Math.min(fullAfter, length);
    return shortWrite === undefined ? length : Math.max(1, Math.min(shortWrite, length));
  }
}

function settle(inode: Inode, keep: () => boolean): void {
  for (const change of inode.pending) {
    if (change.kind === "truncate") {
      if (keep()) apply(inode, change);
      continue;
    }
    for (let at = 0; at < change.bytes.length; at += SECTOR_BYTES) {
      const sector = change.bytes.subarray(at, at + SECTOR_BYTES);
      if (keep()) apply(inode, { kind: "write", position: change.position + at, bytes: sector });
    }
  }
  inode.pending = [];
  inode.current = inode.durable.slice();
}

function apply(inode: Inode, change: Pending): void {
  inode.durable =
    change.kind === "write"
      ? written(inode.durable, change.bytes, change.position)
      : resized(inode.durable, change.length);
}

function written(target: Uint8Array, bytes: Uint8Array, position: number): Uint8Array {
  const grown = resized(target, Math.max(target.length, position + bytes.length));
  grown.set(bytes, position);
  return grown;
}

function resized(bytes: Uint8Array, length: number): Uint8Array {
  const copy = new Uint8Array(length);
  copy.set(bytes.subarray(0, length));
  return copy;
}
