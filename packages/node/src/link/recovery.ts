import type { KeyPair } from "@quaymesh/identity";
import type { Transport } from "@quaymesh/protocol";
import type { Clock } from "../clock.ts";
import { rootLine } from "../mesh/keep-news.ts";
import type { NodeLog } from "../node-log.ts";
import { followLate } from "../pairing/follow-roots.ts";
import { renewLate } from "../pairing/late-renewal.ts";
import type { IdentityKeeper } from "../state/identity-keeper.ts";

/** What a {@link Recovery} works with. */
export interface RecoveryParts {
  readonly transport: Transport;
  readonly key: KeyPair;
  readonly clock: Clock;
  readonly keeper: IdentityKeeper;
  readonly log: NodeLog;
}

/** What a node that the mesh endpoint no longer knows, or that no longer knows it, gets at a pairing endpoint. */
export class Recovery {
  readonly #parts: RecoveryParts;

  constructor(parts: RecoveryParts) {
    this.#parts = parts;
  }

  /** Another certificate for one that ran out. @throws {NodeError} as {@link renewLate} */
  async renew(signal: AbortSignal): Promise<void> {
    const { log } = this.#parts;
    const { notAfter } = await renewLate({ ...this.#parts, signal });
    log.renewed(notAfter);
  }

  /** The mesh's root of today. @throws {NodeError} as {@link followLate} */
  async followRoots(signal: AbortSignal): Promise<void> {
    const { keeper, log } = this.#parts;
    const before = keeper.current.rootVersion;
    await followLate({ ...this.#parts, signal });
    if (keeper.current.rootVersion !== before) log.line(rootLine(keeper.current));
  }
}
