import { readdir, readFile, unlink } from "node:fs/promises";
import { join } from "node:path";
import { isDeviceId, makePrivateDirectory, writeFileAtomic } from "@quaymesh/identity";
import { NodeError } from "../errors.ts";

/** Names an attempt: a task and the fencing token it was leased with. */
export interface AttemptRef {
  readonly taskId: string;
  readonly token: number;
}

const FILE = /^([0-9A-Z]{26})-(\d{1,16})\.attempt$/;

/** Which attempts run, on disk: after a crash the next process can say of each that it is over. One empty-handed file per attempt. */
export class AttemptJournal {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** @throws {NodeError} `STATE_UNREADABLE` */
  static async open(directory: string): Promise<AttemptJournal> {
    try {
      await makePrivateDirectory(directory);
    } catch (cause) {
      throw new NodeError("STATE_UNREADABLE", `could not use ${directory}`, { cause });
    }
    return new AttemptJournal(directory);
  }

  /** Note that `attempt` begins; on disk when this resolves. @throws {NodeError} `STATE_UNREADABLE` */
  async begin(attempt: AttemptRef, definition: string): Promise<void> {
    try {
      await writeFileAtomic(this.#pathOf(attempt), `${definition}\n`);
    } catch (cause) {
      throw new NodeError("STATE_UNREADABLE", "the attempt could not be noted on disk", { cause });
    }
  }

  /** Note that its result is in the outbox. Not synced: an entry that comes back costs a second result, which the gateway ignores. */
  async end(attempt: AttemptRef): Promise<void> {
    await unlink(this.#pathOf(attempt)).catch(() => {});
  }

  /** Attempts whose process is gone. @throws {NodeError} `STATE_UNREADABLE` */
  async leftovers(): Promise<readonly (AttemptRef & { readonly definition: string })[]> {
    try {
      const found: (AttemptRef & { readonly definition: string })[] = [];
      for (const name of await readdir(this.#directory)) {
        const match = FILE.exec(name);
        if (match?.[1] === undefined || !isDeviceId(match[1])) continue;
        const definition = (await readFile(join(this.#directory, name), "utf8")).trim();
        found.push({ taskId: match[1], token: Number(match[2]), definition });
      }
      return found;
    } catch (cause) {
      throw new NodeError("STATE_UNREADABLE", `could not read ${this.#directory}`, { cause });
    }
  }

  #pathOf({ taskId, token }: AttemptRef): string {
    return join(this.#directory, `${taskId}-${token}.attempt`);
  }
}
