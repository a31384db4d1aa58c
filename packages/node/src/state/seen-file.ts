import { readFile } from "node:fs/promises";
import { writeFileAtomic } from "@quaymesh/identity";
import { isBehind, parseCheckpoint, type Checkpoint } from "@quaymesh/protocol";
import { NodeError } from "../errors.ts";
import { decodeSummed, encodeSummed } from "./summed.ts";

/** The root a session hangs from. */
interface SessionRoot {
  /** SHA-256 of its SubjectPublicKeyInfo, hexadecimal. */
  readonly key: string;
  /** Of those that are trusted. */
  readonly isNewest: boolean;
}

interface Stored {
  readonly checkpoint: Checkpoint;
  /** Below which it was given; not known of a file from before this was kept. */
  readonly root: string | undefined;
}

/**
 * The newest checkpoint that this node was given by its mesh, on disk: the gateway, shown it, finds out whether its own state is older.
 * One that was given below a root which another has followed gives way to any that is given below the newest: whoever stole the keys below the old one may have made it as late as they liked.
 */
export class SeenFile {
  readonly #path: string;
  /** What was found is no checkpoint, and counts as none. */
  readonly isDamaged: boolean;
  #stored: Stored | undefined;
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, stored: Stored | "damaged" | undefined) {
    this.#path = path;
    this.isDamaged = stored === "damaged";
    this.#stored = stored === "damaged" ? undefined : stored;
  }

  /** A file that cannot be read as a checkpoint counts as none: it can only make the gateway find out less. @throws {NodeError} `STATE_UNREADABLE` */
  static async open(path: string): Promise<SeenFile> {
    try {
      return new SeenFile(path, decode(await readFile(path, "utf8")));
    } catch (cause) {
      if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return new SeenFile(path, undefined);
      throw new NodeError("STATE_UNREADABLE", `could not read ${path}`, { cause, details: { file: path } });
    }
  }

  /** What the next hello shows. */
  get stored(): Checkpoint | undefined {
    return this.#stored?.checkpoint;
  }

  /** Whether what is stored may be held against what a session below `root` shows. */
  judges(root: SessionRoot | undefined): boolean {
    const given = this.#stored?.root;
    return given === undefined || root === undefined || !root.isNewest || root.key === given;
  }

  /** Keep a newer one; an older one changes nothing. @throws {NodeError} `STATE_UNREADABLE`; it is shown all the same, until this process ends */
  store(checkpoint: Checkpoint, root: SessionRoot | undefined): Promise<void> {
    if (this.#stored !== undefined && this.judges(root) && isBehind(this.#stored.checkpoint, checkpoint)) {
      return Promise.resolve();
    }
    const stored: Stored = { checkpoint, root: root?.key };
    this.#stored = stored;
    const write = this.#writing.then(async () => {
      try {
        await writeFileAtomic(this.#path, encode(stored));
      } catch (cause) {
        throw new NodeError("STATE_UNREADABLE", `could not write ${this.#path}`, { cause });
      }
    });
    this.#writing = write.catch(() => {});
    return write;
  }
}

function encode({ checkpoint: { incarnation, mac, ...facts }, root }: Stored): string {
  return encodeSummed({ ...facts, incarnation: hex(incarnation), mac: hex(mac), ...(root !== undefined && { root }) });
}

function decode(text: string): Stored | "damaged" {
  const fields = decodeSummed(text);
  if (typeof fields === "string") return "damaged";
  const { root, ...facts } = Object.fromEntries(fields);
  try {
    const bytes = { incarnation: bytesOf(facts["incarnation"]), mac: bytesOf(facts["mac"]) };
    return { checkpoint: parseCheckpoint({ ...facts, ...bytes }), root: typeof root === "string" ? root : undefined };
  } catch {
    return "damaged";
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function bytesOf(value: unknown): Uint8Array {
  return new Uint8Array(Buffer.from(typeof value === "string" ? value : "", "hex"));
}
