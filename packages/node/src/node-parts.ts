/** What a node stands on: its state directory, opened and locked. */
import type { KeyPair } from "@quaymesh/identity";
import { systemClock, type Clock } from "./clock.ts";
import { checkOptions, checkPrivate } from "./node-checks.ts";
import type { NodeOptions } from "./node-options.ts";
import { Outbox } from "./outbox/outbox.ts";
import { loadIdentity, loadKeyOf, type NodeIdentity } from "./state/identity-file.ts";
import { JoinFile } from "./state/join-file.ts";
import { layoutOf, type StateLayout } from "./state/layout.ts";
import { lockState, type StateLock } from "./state/lock.ts";
import { SeenFile } from "./state/seen-file.ts";
import { AttemptJournal } from "./tasks/journal.ts";

/** Opened; closed by whoever stops the node, the lock last. */
export interface NodeParts {
  readonly options: NodeOptions;
  readonly clock: Clock;
  readonly layout: StateLayout;
  readonly lock: StateLock;
  readonly key: KeyPair;
  readonly identity: NodeIdentity;
  readonly outbox: Outbox;
  readonly journal: AttemptJournal;
  readonly join: JoinFile;
  readonly seen: SeenFile;
}

/**
 * Open a node's state: its identity, its outbox, its lock. What fails, `build` included, leaves nothing open.
 * @throws {NodeError} as `Node.open`; what `build` throws
 */
export async function openParts<T>(options: NodeOptions, build: (parts: NodeParts) => T): Promise<T> {
  checkOptions(options);
  const layout = layoutOf(options.state);
  const identity = await loadIdentity(layout);
  await checkPrivate(layout);
  const key = await loadKeyOf(layout, identity);
  const lock = lockState(layout.lock);
  try {
    const outbox = await Outbox.open({
      directory: layout.outbox,
      ...(options.maxOutboxBytes !== undefined && { maxBytes: options.maxOutboxBytes }),
    });
    try {
      const journal = await AttemptJournal.open(layout.attempts);
      const join = await JoinFile.open(layout.join);
      const seen = await SeenFile.open(layout.seen);
      const clock = options.clock ?? systemClock;
      return build({ options, clock, layout, lock, key, identity, outbox, journal, join, seen });
    } catch (cause) {
      await outbox.close();
      throw cause;
    }
  } catch (cause) {
    lock[Symbol.dispose]();
    throw cause;
  }
}
