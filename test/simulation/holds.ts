import type { SimDatabase } from "./database.ts";
import type { Job } from "../../packages/gateway/src/store/sqlite/wire.ts";
import { EPOCH_MS } from "./world.ts";

/** The model reads each commit as it is made, and like a reader needs what it has not seen. */
export const MODEL = "model";

const OWNER = "operator";
const DAY_MS = 86_400_000;

/** Durable subscriptions, as readers of the log hold them: what they have yet to get must not go. */
export class Holds {
  readonly #database: SimDatabase;
  /** What may go for whose sake, and has not been told the database yet. */
  readonly #released = new Map<string, number>();

  constructor(database: SimDatabase) {
    this.#database = database;
    this.open(MODEL);
  }

  /** From the beginning of the log on. */
  open(name: string): void {
    this.#database.write("subscriptions.open", {
      owner: OWNER,
      name,
      create: {
        after: 0,
        filter: {},
        // Nothing in a simulation takes that long or is that much: what goes, goes by mistake.
        quota: { maxAgeMs: 1000 * DAY_MS, maxEvents: 1_000_000, maxBytes: 1_000_000_000 },
        createdBy: "simulation",
        maxPerOwner: 100,
        maxTotal: 100,
      },
      now: EPOCH_MS,
    });
    this.#database.sync();
  }

  /** Everything up to `offset` may go for its sake. */
  release(name: string, offset: number): void {
    this.#released.set(name, offset);
  }

  /** Before these are committed: where retention is among them it asks who needs what, and nobody else does. */
  settle(jobs: readonly Job[]): void {
    if (!jobs.some(({ unit }) => unit === "events.retain")) return;
    for (const [name, offset] of this.#released) {
      const key = { owner: OWNER, name };
      const held = this.#database.read("subscriptions.get", key);
      if (held === undefined || held.acked >= offset) continue;
      this.#database.write("subscriptions.acknowledge", { ...key, epoch: held.epoch, offset, now: EPOCH_MS });
    }
    this.#released.clear();
  }
}
