import { windowFacts } from "../../../packages/gateway/src/pairing/records.ts";
import type { WindowRow } from "../../../packages/gateway/src/store/rows.ts";
import { Violation } from "../violation.ts";

/** What opens a window. */
export type CodeKind = "ticket" | "pin" | "node";

interface Window {
  readonly uses: number;
  readonly preapproved: boolean;
  /** Keys of the devices that have used it: one that never got to know asks again, and takes no other use. */
  readonly used: Set<string>;
  /** What opens it, once an operator has said so. */
  codes: readonly CodeKind[];
  /** Whose own code opens it. */
  owner: string | undefined;
  /** Wrong proofs by what was guessed at: those that are committed, and those the gateway has noticed. */
  readonly failures: Record<"ticket" | "pin", { committed: number; noticed: number }>;
}

/** What windows have to do: let in whom they are for, as many as they are for, for as long as they last. */
export class ModelWindows {
  readonly #windows = new Map<string, Window>();
  readonly #failuresPerCode: number;

  constructor(failuresPerCode: number) {
    this.#failuresPerCode = failuresPerCode;
  }

  /** It was written down, before anybody knew of it. */
  put(row: WindowRow): void {
    const { uses, preapproved } = windowFacts(row);
    const failures = { ticket: { committed: 0, noticed: 0 }, pin: { committed: 0, noticed: 0 } };
    const used = new Set<string>();
    this.#windows.set(row.windowId, { uses, preapproved, used, codes: [], owner: undefined, failures });
  }

  /** An operator knows what opens it, and, where a node shows that itself, which. */
  opened(windowId: string, codes: readonly CodeKind[], owner?: string): void {
    const window = this.#windows.get(windowId);
    if (window === undefined) return;
    window.codes = codes;
    window.owner = owner;
  }

  /** Whether nobody is asked. */
  isPreapproved(windowId: string): boolean {
    return this.#windows.get(windowId)?.preapproved === true;
  }

  /** Somebody at `host` has proved one of its codes. */
  proved(windowId: string, secret: "ticket" | "pin", host: string): void {
    const window = this.#windows.get(windowId);
    if (window === undefined) return;
    if (window.owner !== undefined && window.owner !== host) {
      throw new Violation("a-nodes-code-is-its-own", `${host} came in by the code of ${window.owner}`);
    }
    if (window.failures[secret].committed >= this.#failuresPerCode) {
      throw new Violation("three-wrong-proofs-a-code", "a code that was burnt was proved");
    }
  }

  /** The gateway has found a proof wrong; whether or not its disk takes that. */
  failed(windowId: string, secret: "ticket" | "pin", isCommitted: boolean): void {
    const window = this.#windows.get(windowId);
    if (window === undefined) return;
    const failures = window.failures[secret];
    failures.noticed += 1;
    if (!isCommitted) return;
    failures.committed += 1;
    // A code of several places can be tried by as many at once. Those that are judged after the third are found wrong, whatever they prove: see `proved`.
    const atOnce = window.uses - 1;
    if (failures.committed > this.#failuresPerCode + atOnce) {
      throw new Violation("three-wrong-proofs-a-code", `a code took ${String(failures.committed)}`);
    }
  }

  /** It is over. */
  moved(windowId: string, to: string): void {
    const window = this.#windows.get(windowId);
    if (window === undefined) return;
    // What ends it is its use, its time, guesses, or a revocation, which does it by itself; never a stop or a start of the gateway.
    if (window.preapproved && to === "closed") {
      throw new Violation("lasting-windows-last", "a pre-approved window was closed, and nobody had asked for that");
    }
    const spared = window.codes.find(
      (code) => code !== "node" && window.failures[code].noticed < this.#failuresPerCode,
    );
    if (to === "burnt" && spared !== undefined) {
      throw new Violation("a-burnt-code-spares-the-other", `nobody had burnt the ${spared} of a window that is burnt`);
    }
  }

  /** A device was enrolled by it. */
  used(windowId: string, key: string, host: string): void {
    const window = this.#windows.get(windowId);
    if (window === undefined) return;
    window.used.add(key);
    if (window.used.size > window.uses) {
      const rule = window.preapproved ? "uses-are-bounded" : "one-use-per-code";
      throw new Violation(rule, `${host} is number ${String(window.used.size)} of ${String(window.uses)}`);
    }
  }
}
