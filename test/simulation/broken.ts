import type { Outbox } from "../../packages/node/src/outbox/outbox.ts";
import type { BrokenPairing } from "./pairing/broken.ts";
import type { Sabotage } from "./store.ts";

/** How the product is broken on purpose, for the controls. */
export interface Broken {
  readonly store?: Sabotage;
  readonly outbox?: (outbox: Outbox) => Outbox;
  /** A node keeps to itself that its outbox has another numbering. */
  readonly tellsNothing?: boolean;
  readonly nodeOmitsSync?: boolean;
  readonly gatewayOmitsSync?: boolean;
  readonly cursorFirst?: boolean;
  /** Revoking does not reach what handshakes ask. */
  readonly forgetsRevocation?: boolean;
  /** A session that another one of the same device has taken over from stays. */
  readonly keepsOlderSession?: boolean;
  readonly pairing?: BrokenPairing;
}
