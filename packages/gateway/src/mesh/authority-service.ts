/** {@link MeshService} on an authority: each step is one durable write, and what runs follows it. */
import {
  IdentityError,
  isBelowRoot,
  latestMoveVersion,
  openRootKey,
  Secret,
  type Authority,
  type KeyPair,
} from "@quaymesh/identity";
import type { Clock } from "../clock.ts";
import { GatewayError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { Store } from "../store/port.ts";
import type { DeviceRow } from "../store/rows.ts";
import { checkAddresses } from "./addresses.ts";
import { storeMove } from "./move-record.ts";
import type { AuthorityNews } from "./news.ts";
import type { ExportedRootKey, MeshRootView, MeshService, MoveView, RotationPhase } from "./service.ts";

const DAY_MS = 86_400_000;
/** How long both roots are trusted, where nobody says: longer than a device's certificate lives. */
const DEFAULT_OVERLAP_MS = 45 * DAY_MS;
/** Names of devices in an error. */
const MAX_NAMES = 5;
const MAX_OVERLAP_MS = 3 * 365 * DAY_MS;

/** What {@link AuthorityMesh} stands on. */
export interface AuthorityMeshParts {
  readonly authority: Authority;
  readonly news: AuthorityNews;
  readonly store: Pick<Store, "devices" | "meta">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of the pairing endpoint as it is now. */
  readonly pairingPort: () => number;
  /** The roots have changed: what listens and who is connected must follow. Called after each step is on disk. */
  readonly follow: () => Promise<void>;
  /** The old root is gone: who trusts it still is to begin a new session. */
  readonly renewSessions: () => void;
  /** There is something new for nodes. */
  readonly tell: () => void;
}

/** The mesh's root and the gateway's address, of a daemon. */
export class AuthorityMesh implements MeshService {
  readonly #parts: AuthorityMeshParts;

  constructor(parts: AuthorityMeshParts) {
    this.#parts = parts;
  }

  async root(): Promise<MeshRootView> {
    const { authority } = this.#parts;
    const { meshId, meshName, lines, rootStatements } = authority;
    const newest = lines.at(-1);
    const devices = await this.#devices();
    const outdated = newest?.version === 0 ? [] : await this.#outdated(devices, newest?.rootDer);
    return {
      meshId,
      meshName,
      roots: lines.map((line) => ({
        version: line.version,
        fingerprint: hex(line.rootSpkiSha256),
        notAfter: line.rootNotAfter,
        issuingNotAfter: line.issuingNotAfter,
        shown: line.shown,
      })),
      phase: phaseOf(authority),
      overlapUntil: lines.length === 1 ? undefined : rootStatements.at(-1)?.until,
      keyIsHere: await translated(() => authority.hasRootKey()),
      devices: devices.length,
      unaware: devices.filter(({ rootVersion }) => rootVersion < (newest?.version ?? 0)).map(nameOf),
      outdated: outdated.map(nameOf),
    };
  }

  async exportRootKey(passphrase: string): Promise<string> {
    const { authority, logger } = this.#parts;
    const file = await translated(() => authority.exportRootKey(new Secret(passphrase)));
    logger.warn({ root: this.#newestFingerprint() }, "the root's key was exported");
    return file;
  }

  async removeRootKey(fingerprint: string): Promise<MeshRootView> {
    const { authority, logger } = this.#parts;
    const root = this.#newestFingerprint();
    if (fingerprint !== root)
      throw new GatewayError("ROOT_KEY_WRONG", "that is the key of another root: it stays here");
    await translated(() => authority.removeRootKey());
    logger.warn({ root }, "the root's key was taken off this gateway");
    return await this.root();
  }

  async renewIssuing({ rootKey }: { readonly rootKey?: ExportedRootKey }): Promise<MeshRootView> {
    const { authority, clock, logger } = this.#parts;
    const key = await opened(rootKey);
    await translated(() => authority.renewIssuing({ now: clock.now(), ...key }));
    logger.warn({ notAfter: authority.lines.at(-1)?.issuingNotAfter }, "the issuing intermediate was renewed");
    await this.#parts.follow();
    return await this.root();
  }

  async startRotation(input: {
    readonly rootKey?: ExportedRootKey;
    readonly overlapMs?: number;
  }): Promise<MeshRootView> {
    const { authority, clock, logger, follow, tell } = this.#parts;
    const { rootKey, overlapMs = DEFAULT_OVERLAP_MS } = input;
    if (!(overlapMs >= 0 && overlapMs <= MAX_OVERLAP_MS)) {
      throw new GatewayError("REQUEST_INVALID", "an overlap is at most three years");
    }
    const key = await opened(rootKey);
    await translated(() => authority.startRotation({ now: clock.now(), overlapMs, ...key }));
    logger.warn({ root: this.#newestFingerprint() }, "a rotation of the root has begun: both are trusted");
    await follow();
    tell();
    return await this.root();
  }

  async switchRotation({ force }: { readonly force: boolean }): Promise<MeshRootView> {
    const { authority, logger, follow } = this.#parts;
    const { phase, unaware } = await this.root();
    if (phase === "overlap" && !force) assertNobody(unaware, "do not trust the new root yet");
    await translated(() => authority.switchRotation());
    logger.warn({ behind: unaware.length }, "the gateway's certificates hang from the new root");
    await follow();
    return await this.root();
  }

  async finishRotation({ force }: { readonly force: boolean }): Promise<MeshRootView> {
    const { authority, logger, follow, renewSessions } = this.#parts;
    const { phase, outdated } = await this.root();
    if (phase === "switched" && !force) assertNobody(outdated, "still hang from the old root");
    await translated(() => authority.finishRotation());
    logger.warn({ behind: outdated.length }, "the old root is trusted no more");
    await follow();
    renewSessions();
    return await this.root();
  }

  async move(input: { readonly addresses: readonly string[]; readonly pairing: readonly string[] }): Promise<MoveView> {
    const { authority, news, store, clock, logger, tell } = this.#parts;
    const addresses = checkAddresses(input.addresses, "addresses");
    if (addresses.length === 0) throw new GatewayError("REQUEST_INVALID", "a move names one address at least");
    const beside = addresses.map((address) => address.replace(/\d+$/u, String(this.#parts.pairingPort())));
    const pairing = checkAddresses(input.pairing.length > 0 ? input.pairing : beside, "pairing addresses");
    const time = clock.now();
    const last = news.move?.version ?? 0;
    // In seconds since 1970 where that is more: a store that was put back from a backup then still counts on. One of a clock that was ahead is nothing nodes believe.
    const version = Math.max(last < latestMoveVersion(time) ? last + 1 : 0, Math.floor(time / 1000));
    const move = authority.signMove({ version, time, addresses, pairing });
    await storeMove(store.meta, move);
    news.move = move;
    logger.warn({ version, addresses, pairing }, "nodes are told that the gateway moves");
    tell();
    return await this.#moveView();
  }

  async lastMove(): Promise<MoveView | undefined> {
    return this.#parts.news.move === undefined ? undefined : await this.#moveView();
  }

  async #moveView(): Promise<MoveView> {
    const { version = 0, time = 0, addresses = [], pairing = [] } = this.#parts.news.move ?? {};
    const devices = await this.#devices();
    const unaware = devices.filter(({ moveVersion }) => moveVersion !== version).map(nameOf);
    return { version, at: time, addresses, pairing, devices: devices.length, unaware };
  }

  #newestFingerprint(): string {
    return hex(this.#parts.authority.lines.at(-1)?.rootSpkiSha256 ?? new Uint8Array());
  }

  async #devices(): Promise<readonly DeviceRow[]> {
    return (await this.#parts.store.devices.list()).filter(({ revoked }) => !revoked);
  }

  /** Those whose newest certificate ends elsewhere. A device none of whose certificates is good any more asks for another anyway. */
  async #outdated(devices: readonly DeviceRow[], root: Uint8Array | undefined): Promise<readonly DeviceRow[]> {
    const { store, clock } = this.#parts;
    const now = clock.now();
    const found = await Promise.all(
      devices.map(async (device) => {
        const rows = await store.devices.certificates(device.deviceId);
        const newest = rows.findLast(({ state, notAfter }) => state === "active" && notAfter > now);
        return newest !== undefined && !isBelowRoot(newest.chain[1], root) ? [device] : [];
      }),
    );
    return found.flat();
  }
}

function phaseOf({ lines }: Pick<Authority, "lines">): RotationPhase {
  if (lines.length === 1) return "steady";
  return lines.at(-1)?.shown === true ? "switched" : "overlap";
}

function assertNobody(devices: readonly string[], what: string): void {
  if (devices.length === 0) return;
  const shown = devices.slice(0, MAX_NAMES).join(", ");
  const more = devices.length > MAX_NAMES ? `, and ${devices.length - MAX_NAMES} more` : "";
  throw new GatewayError("DEVICES_BEHIND", `devices that ${what}: ${shown}${more}`, {
    metadata: { count: String(devices.length) },
  });
}

async function opened(rootKey: ExportedRootKey | undefined): Promise<{ readonly rootKey?: KeyPair }> {
  if (rootKey === undefined) return {};
  return { rootKey: await translated(() => openRootKey(rootKey.file, new Secret(rootKey.passphrase))) };
}

const CODES = new Map([
  ["ROOT_KEY_OFFLINE", "ROOT_KEY_OFFLINE"],
  ["ROOT_KEY_WRONG", "ROOT_KEY_WRONG"],
  ["ROTATION_STATE", "ROTATION_STATE"],
  ["VALUE_INVALID", "REQUEST_INVALID"],
  ["STORE_WRITE_FAILED", "STATE_NOT_WRITABLE"],
] as const);

async function translated<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    if (!(cause instanceof IdentityError)) throw cause;
    const codes: ReadonlyMap<string, Parameters<typeof CODES.set>[1]> = CODES;
    const code = codes.get(cause.code) ?? "AUTHORITY_UNREADABLE";
    throw new GatewayError(code, cause.message, { cause, metadata: { identityCode: cause.code } });
  }
}

function nameOf({ name, deviceId }: DeviceRow): string {
  return name === "" ? deviceId : name;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
