import { readFile } from "node:fs/promises";
import { writeFileAtomic } from "@quaymesh/identity";
import type { SocketAddress } from "@quaymesh/protocol";
import { NodeError, type NodeErrorCode } from "../errors.ts";
import { formatAddress } from "../state/address.ts";

/** Attempts in a row that are put down to chance: a slip of the finger, a code that was used up. The gateway burns a code as late. */
const SUSPICIOUS_TRIES = 3;
/** How long an attempt is remembered. */
const REMEMBERED_MS = 24 * 3_600_000;
/** Addresses and roots that are remembered, the latest ones. */
const MAX_REMEMBERED = 16;

/** What an attempt in which the node had proved itself, and the gateway had not, can be put down to somebody in between. Others say for themselves what they are. */
const SUSPICIOUS: ReadonlySet<NodeErrorCode> = new Set([
  "PAKE_CONFIRM_FAILED",
  "PAIR_CODE_INVALID",
  "PAIR_PROTOCOL",
  "PAIR_TIMEOUT",
  "PAIR_FAILED",
]);

/** Attempts at one address that ended so, since the last that did not. */
interface Tries {
  readonly address: string;
  readonly count: number;
  /** Unix milliseconds. */
  readonly at: number;
  /** Fingerprints of the roots that were shown. */
  readonly roots: readonly string[];
}

/**
 * Remembers, beside the node's key, how often in a row a gateway whose root is not known yet did not prove that it knows the code. One such attempt is a slip; three may be somebody in
 * between, who gets one guess each time and burns the code with it.
 */
export class UnprovedTries {
  readonly #path: string;
  readonly #address: string;

  constructor(path: string, address: SocketAddress) {
    this.#path = path;
    this.#address = formatAddress(address);
  }

  /** Count an attempt. @returns what to tell: the attempt's own error, or that somebody may be in between */
  async judge(error: NodeError, root: string, now: number): Promise<NodeError> {
    if (!SUSPICIOUS.has(error.code)) return error;
    const all = await this.#read(now);
    const before = all.find(({ address }) => address === this.#address);
    const roots = [...new Set([...(before?.roots ?? []), root])].slice(-MAX_REMEMBERED);
    const count = (before?.count ?? 0) + 1;
    await this.#write([...this.#others(all), { address: this.#address, count, at: now, roots }]);
    return count < SUSPICIOUS_TRIES
      ? error
      : possibleInterception(error, { address: this.#address, count, roots, root });
  }

  /** A gateway proved itself there. */
  async forget(now: number): Promise<void> {
    const all = await this.#read(now);
    const others = this.#others(all);
    if (others.length < all.length) await this.#write(others);
  }

  #others(all: readonly Tries[]): readonly Tries[] {
    return all.filter(({ address }) => address !== this.#address).slice(1 - MAX_REMEMBERED);
  }

  /** What cannot be read counts as nothing: it is a warning that would come later, and no reason not to pair. */
  async #read(now: number): Promise<readonly Tries[]> {
    try {
      const value: unknown = JSON.parse(await readFile(this.#path, "utf8"));
      return Array.isArray(value) ? value.filter((each) => isTries(each) && now - each.at < REMEMBERED_MS) : [];
    } catch {
      return [];
    }
  }

  async #write(tries: readonly Tries[]): Promise<void> {
    try {
      await writeFileAtomic(this.#path, `${JSON.stringify(tries)}\n`);
    } catch (cause) {
      throw new NodeError("STATE_UNREADABLE", `could not write ${this.#path}`, { cause });
    }
  }
}

function possibleInterception(
  cause: NodeError,
  { address, count, roots, root }: Omit<Tries, "at"> & { readonly root: string },
): NodeError {
  const message = `possible interception: ${count} attempts in a row at ${address} ended without proof that a gateway there knows the code`;
  const others = roots.filter((each) => each !== root);
  return new NodeError("POSSIBLE_INTERCEPTION", message, {
    cause,
    details: { address, seenRoot: root, ...(others.length > 0 && { rootsBefore: others.join(" ") }) },
  });
}

function isTries(value: unknown): value is Tries {
  if (typeof value !== "object" || value === null) return false;
  const { address, count, at, roots } = { address: 0, count: "", at: "", roots: 0, ...value } as Record<
    string,
    unknown
  >;
  const isTexts = Array.isArray(roots) && roots.every((root) => typeof root === "string");
  return typeof address === "string" && typeof count === "number" && typeof at === "number" && isTexts;
}
