import { readFile } from "node:fs/promises";
import { writeFileAtomic } from "@quaymesh/identity";
import { JOIN_TOKEN_BYTES } from "@quaymesh/protocol";
import { NodeError } from "../errors.ts";
import { sumOfText } from "./summed.ts";

/** The join token of the last welcome, on disk. What is shown is what is stored: the gateway takes the one before as well, so a crash in between does no harm. */
export class JoinFile {
  readonly #path: string;
  #stored: Uint8Array | undefined;
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, stored: Uint8Array | undefined) {
    this.#path = path;
    this.#stored = stored;
  }

  /** @throws {NodeError} `STATE_UNREADABLE`, `JOIN_TOKEN_DAMAGED` */
  static async open(path: string): Promise<JoinFile> {
    let text: string;
    try {
      text = await readFile(path, "utf8");
    } catch (cause) {
      if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return new JoinFile(path, undefined);
      throw new NodeError("STATE_UNREADABLE", `could not read ${path}`, { cause, details: { file: path } });
    }
    // Files from before there were sums have none.
    const [hex = "", sum = sumOfText(hex)] = text.trim().split(" ");
    const token = new Uint8Array(Buffer.from(hex, "hex"));
    if (token.length === JOIN_TOKEN_BYTES && sum === sumOfText(hex)) return new JoinFile(path, token);
    throw new NodeError(
      "JOIN_TOKEN_DAMAGED",
      `${path} is damaged: shown as it is, the gateway would take this node for a copy`,
      { details: { file: path } },
    );
  }

  /** What the next hello shows; nothing before the first welcome. */
  get stored(): Uint8Array | undefined {
    return this.#stored;
  }

  /** Keep a welcome's token. @throws {NodeError} `STATE_UNREADABLE`; the one before then stays the one to show */
  store(token: Uint8Array): Promise<void> {
    const write = this.#writing.then(async () => {
      try {
        const hex = Buffer.from(token).toString("hex");
        await writeFileAtomic(this.#path, `${hex} ${sumOfText(hex)}\n`);
        this.#stored = token;
      } catch (cause) {
        throw new NodeError("STATE_UNREADABLE", `could not write ${this.#path}`, { cause });
      }
    });
    this.#writing = write.catch(() => {});
    return write;
  }
}
