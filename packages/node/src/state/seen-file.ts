import { readFile } from "node:fs/promises";
import { writeFileAtomic } from "@quaymesh/identity";
import { isBehind, parseCheckpoint, type Checkpoint } from "@quaymesh/protocol";
import { NodeError } from "../errors.ts";

/** The newest checkpoint that this node was given by its mesh, on disk: the gateway, shown it, finds out whether its own state is older. */
export class SeenFile {
  readonly #path: string;
  #stored: Checkpoint | undefined;
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, stored: Checkpoint | undefined) {
    this.#path = path;
    this.#stored = stored;
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
    return this.#stored;
  }

  /** Keep a newer one; an older one changes nothing. @throws {NodeError} `STATE_UNREADABLE`; it is shown all the same, until this process ends */
  store(checkpoint: Checkpoint): Promise<void> {
    if (this.#stored !== undefined && isBehind(this.#stored, checkpoint)) return Promise.resolve();
    this.#stored = checkpoint;
    const write = this.#writing.then(async () => {
      try {
        await writeFileAtomic(this.#path, encode(checkpoint));
      } catch (cause) {
        throw new NodeError("STATE_UNREADABLE", `could not write ${this.#path}`, { cause });
      }
    });
    this.#writing = write.catch(() => {});
    return write;
  }
}

function encode({ incarnation, mac, ...facts }: Checkpoint): string {
  return `${JSON.stringify({ ...facts, incarnation: hex(incarnation), mac: hex(mac) })}\n`;
}

function decode(text: string): Checkpoint | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || !("incarnation" in value) || !("mac" in value)) return undefined;
    return parseCheckpoint({ ...value, incarnation: bytesOf(value.incarnation), mac: bytesOf(value.mac) });
  } catch {
    return undefined;
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function bytesOf(value: unknown): Uint8Array {
  return new Uint8Array(Buffer.from(typeof value === "string" ? value : "", "hex"));
}
