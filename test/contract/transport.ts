/**
 * What every {@link Transport} must do, whatever it is made of. A transport's tests call
 * {@link describeTransportContract} once:
 *
 *     describeTransportContract("memory", async () => ({ transport, host: "memory", ... }));
 *
 * `setup` runs before each test and gives a fresh {@link TransportUnderTest}; its `dispose` runs after it, whatever
 * happened. The three credentials need different keys. Their chains must end at `anchorsPem`, the server's leaf must
 * carry `serverName`.
 */
import { describe } from "vitest";
import type { Credentials, Transport } from "@quaymesh/protocol";
import { describeAdmission } from "./transport/admission.ts";
import { describeClosing } from "./transport/closing.ts";
import { describeListening } from "./transport/listening.ts";
import { describeStats } from "./transport/stats.ts";
import { describeStreamEnds } from "./transport/stream-ends.ts";
import { describeStreams } from "./transport/streams.ts";

/** A transport, and what the contract needs to use it. */
export interface TransportUnderTest {
  readonly transport: Transport;
  /** Where to listen, and unless `dialHost` says otherwise to dial: an address of this machine only. */
  readonly host: string;
  /** Where to dial what listens on every address. */
  readonly dialHost?: string;
  /** The name in the server's leaf. */
  readonly serverName: string;
  /** The root of all three chains, PEM. */
  readonly anchorsPem: string;
  readonly server: Credentials;
  readonly client: Credentials;
  readonly otherClient: Credentials;
  readonly dispose?: () => Promise<void>;
}

/** Register the contract's tests for one transport. */
export function describeTransportContract(name: string, setup: () => Promise<TransportUnderTest>): void {
  describe(`the ${name} transport keeps the contract`, () => {
    describeListening(setup);
    describeAdmission(setup);
    describeStreams(setup);
    describeStreamEnds(setup);
    describeClosing(setup);
    describeStats(setup);
  });
}
