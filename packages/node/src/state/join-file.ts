import { readFile } from "node:fs/promises";
import { writeFileAtomic } from "@quaymesh/identity";
import { JOIN_TOKEN_BYTES } from "@quaymesh/protocol";
import { NodeError } from "../errors.ts";

/** The join token of the last welcome, on disk. What is shown is what is stored: the gateway takes the one before as well, so a crash in between does no harm. */
export class JoinFile {
  readonly #path: string;
  #stored: Uint8Array | undefined;
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, stored: Uint8Array | undefined) {
    this.#path = path;
    this.#stored = stored;
  }

  /** @throws {NodeError} `STATE_UNREADABLE`, `STATE_CORRUPT` */
  static async open(path: string): Promise<JoinFile> {
    let text: string;
    try {
      text = await readFile(path, "utf8");
    } catch (cause) {
      if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return new JoinFile(path, undefined);
      throw new NodeError("STATE_UNREADABLE", `could not read ${path}`, { cause, details: { file: path } });
    }
    const token = new Uint8Array(Buffer.from(text.trim(), "hex"));
    if (token.length !== JOIN_TOKEN_BYTES) throw new NodeError("STATE_CORRUPT", `${path} is damaged: no join token`);
    return new JoinFile(path, token);
  }

  /** What the next hello shows; nothing before the first welcome. */
  get stored(): Uint8Array | undefined {
    return this.#stored;
  }

  /** Keep a welcome's token. @throws {NodeError} `STATE_UNREADABLE`; the one before then stays the one to show */
  store(token: Uint8Array): Promise<void> {
    const write = this.#writing.then(async () => {
      try {
        await writeFileAtomic(this.#path, `${Buffer.from(token).toString("hex")}\n`);
        this.#stored = token;
      } catch (cause) {
        throw new NodeError("STATE_UNREADABLE", `could not write ${this.#path}`, { cause });
      }
    });
    this.#writing = write.catch(() => {});
    return write;
  }
}
