/** What every Store must do, whatever it keeps its rows in. Call it from a test file of the implementation. */
import type { Store } from "@quaymesh/gateway";
import { describe } from "vitest";
import { deviceContract } from "./store-devices.ts";
import { eventContract } from "./store-events.ts";
import { pairingContract } from "./store-pairing.ts";
import { policyContract } from "./store-policies.ts";
import { subscriptionContract } from "./store-subscriptions.ts";
import { retentionContract } from "./store-retention.ts";
import { taskContract } from "./store-tasks.ts";

/** A store to test, and the way to close and open it again over the same data. */
export interface StoreUnderTest extends AsyncDisposable {
  readonly store: Store;
  reopen(): Promise<Store>;
}

/** Run the suite; `open` gives a new, empty store each time. */
export function storeContract(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`the Store contract on ${name}`, () => {
    deviceContract(open);
    pairingContract(open);
    eventContract(open);
    subscriptionContract(open);
    policyContract(open);
    retentionContract(open);
    taskContract(open);
  });
}
