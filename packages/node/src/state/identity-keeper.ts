import type { NodeIdentity } from "./identity-file.ts";
import { storeIdentity } from "./identity-file.ts";
import type { StateLayout } from "./layout.ts";

/** The node's identity, in memory and on disk. Changes come from several sides at once and go one after the other, each on top of the one before. */
export class IdentityKeeper {
  readonly #layout: StateLayout;
  #current: NodeIdentity;
  #writing: Promise<void> = Promise.resolve();

  constructor(layout: StateLayout, stored: NodeIdentity) {
    this.#layout = layout;
    this.#current = stored;
  }

  /** As stored. */
  get current(): NodeIdentity {
    return this.#current;
  }

  /**
   * Store what `change` makes of the identity as it is then; the same object means no change.
   * @returns the identity as stored
   * @throws {NodeError} `STATE_UNREADABLE`, and what `change` throws; nothing has changed then
   */
  update(change: (current: NodeIdentity) => NodeIdentity): Promise<NodeIdentity> {
    const write = this.#writing.then(async () => {
      const next = change(this.#current);
      if (next === this.#current) return next;
      await storeIdentity(this.#layout, next);
      this.#current = next;
      return next;
    });
    this.#writing = write.then(
      () => {},
      () => {},
    );
    return write;
  }
}
