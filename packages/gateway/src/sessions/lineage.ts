import type { Checkpoint } from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";
import { GatewayError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { MeshTurns } from "../mesh/turns.ts";
import type { Store } from "../store/port.ts";
import type { Behind } from "../store/port-lineage.ts";
import type { LiveSession } from "./live-session.ts";
import type { SessionRegistry } from "./registry.ts";

/** Nodes hear of a revocation this much later: of many at once they hear once. */
const SOON_MS = 100;
/** And of a log that has grown this often: each time they write it to their disks. */
const SLOWLY_MS = 600_000;

/** What {@link Lineage} works with. */
export interface LineageOptions {
  readonly store: Store;
  readonly registry: Pick<SessionRegistry, "all">;
  readonly turns: Pick<MeshTurns<LiveSession>, "checkpoint">;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Keeps nodes informed of how far the store has come, and nobody served where one of them has seen it come further. */
export class Lineage {
  readonly #options: LineageOptions;
  #behind: Behind | undefined;
  /** The newest that nodes are told. */
  #told: Checkpoint | undefined;
  /** When they are told again. */
  #dueAt = Infinity;
  #cancel: () => void = () => {};
  #closed = false;

  private constructor(options: LineageOptions, behind: Behind | undefined) {
    this.#options = options;
    this.#behind = behind;
  }

  /** @throws {GatewayError} `STORE_*` */
  static async open(options: LineageOptions): Promise<Lineage> {
    const lineage = new Lineage(options, await options.store.lineage.behind());
    if (lineage.#behind !== undefined) lineage.#log(lineage.#behind);
    lineage.#schedule(SLOWLY_MS);
    return lineage;
  }

  /** What nodes have shown that the store lacks. */
  get behind(): Behind | undefined {
    return this.#behind;
  }

  /** Why nothing may be asked of this gateway; undefined where it may. */
  refusing(): GatewayError | undefined {
    if (this.#behind === undefined) return undefined;
    const { device } = this.#behind;
    return new GatewayError("STORE_BEHIND", `the gateway's state is older than one that device ${device} has seen`, {
      metadata: { device },
    });
  }

  /** The store has found itself behind: end every session. */
  found(behind: Behind): void {
    const { registry, clock } = this.#options;
    if (this.#behind === undefined) this.#log(behind);
    this.#behind = behind;
    const now = clock.monotonicMs();
    for (const session of registry.all()) session.feed({ kind: "behind", now });
  }

  /** A device was revoked: nodes are told soon. */
  revoked(): void {
    this.#schedule(SOON_MS);
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
  }

  // What is due sooner stays: one revocation after the other would put it off for as long as they come.
  #schedule(afterMs: number): void {
    const { clock } = this.#options;
    const dueAt = clock.monotonicMs() + afterMs;
    if (this.#closed || dueAt >= this.#dueAt) return;
    this.#cancel();
    this.#dueAt = dueAt;
    this.#cancel = clock.after(afterMs, () => {
      this.#dueAt = Infinity;
      this.#schedule(SLOWLY_MS);
      void this.#tell();
    });
  }

  /** Never rejects: a store that cannot be read now is asked again. */
  async #tell(): Promise<void> {
    const { store, registry, turns, logger } = this.#options;
    try {
      const checkpoint = await store.lineage.checkpoint();
      if (checkpoint === undefined || this.#closed) return;
      const { offset, revocationEpoch } = checkpoint;
      if (this.#told?.offset === offset && this.#told.revocationEpoch === revocationEpoch) return;
      this.#told = checkpoint;
      for (const session of registry.all()) turns.checkpoint.take(session, () => tell(session, this.#told));
    } catch (error) {
      logger.debug({ error }, "nodes could not be told how far the store has come");
    }
  }

  #log({ device, here, seen, revoked }: Behind): void {
    this.#options.logger.error(
      { code: "STORE_BEHIND", device, here, seen, revoked },
      "this state is older than one that a node has seen: nobody is served until a newer backup is restored, or `quaymesh gateway restore accept-loss`",
    );
  }
}

/** @returns whether there was anybody to tell */
function tell(session: LiveSession, checkpoint: Checkpoint | undefined): boolean {
  if (session.open === undefined || checkpoint === undefined) return false;
  session.feed({ kind: "checkpoint", checkpoint });
  return true;
}
