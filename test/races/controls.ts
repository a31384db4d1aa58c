/** Revocation broken on purpose: the races have to notice each of these. */
import { FakeTrust } from "../../packages/gateway/test/support/fake-trust.ts";
import type { Job } from "../../packages/gateway/src/store/sqlite/wire.ts";
import type { SimDatabase } from "../simulation/database.ts";
import type { Sabotage } from "../simulation/store.ts";

/** What is broken. */
export interface BrokenRevocation {
  readonly store?: Sabotage;
  readonly trust?: () => FakeTrust;
  /** Whoever revokes finds no session to close. */
  readonly closesNothing?: boolean;
}

/** A promise that is broken. */
export interface RaceControl {
  readonly about: string;
  readonly broken: BrokenRevocation;
  /** What is said of it. */
  readonly fault: RegExp;
}

/** Every control by name. */
export const RACE_CONTROLS = {
  "no-second-lookup": {
    about: "a session is registered on the word of its handshake",
    broken: { trust: () => new HastyTrust() },
    fault: /has a session after its receipt|let in after its receipt/u,
  },
  "no-fencing": {
    about: "the store takes what a revoked device has on its way",
    broken: { store: { rewrite: unfenced } },
    fault: /stored after its revocation/u,
  },
  "closes-nothing": {
    about: "sessions that are open stay open",
    broken: { closesNothing: true },
    fault: /has a session after its receipt/u,
  },
} as const satisfies Readonly<Record<string, RaceControl>>;

/** Asked again about the same connection, it says the same again. */
class HastyTrust extends FakeTrust {
  readonly #said = new WeakMap<object, ReturnType<FakeTrust["authorize"]>>();

  constructor() {
    super();
    const judge = this.authorize;
    Object.defineProperty(this, "authorize", {
      value: (peer: Parameters<typeof judge>[0]) => {
        const verdict = this.#said.get(peer) ?? judge(peer);
        this.#said.set(peer, verdict);
        return verdict;
      },
    });
  }
}

/** For the length of one write the device is not revoked. */
function unfenced(job: Job, database: SimDatabase): Job {
  database.forgetRevocations(job.unit === "events.append" ? (job.input as { readonly deviceId: string }).deviceId : "");
  return job;
}
