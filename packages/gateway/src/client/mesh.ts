import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { createClient, type Client } from "@connectrpc/connect";
import { MeshService, RotationPhase, type GatewayMove, type MeshRoot } from "@quaymesh/api";
import { named, required, timeOf } from "./decode.ts";
import type { CallOptions } from "./task-handle.ts";
import type { ExportedRootKey, GatewayMoveInfo, MeshRootInfo } from "./mesh-types.ts";
import type { Wire } from "./wire.ts";

/** Options of a step that needs the root's key. */
export interface RootKeyOptions extends CallOptions {
  /** Where the gateway does not have it. */
  readonly rootKey?: ExportedRootKey;
}

/** The mesh's root, and where its gateway is. */
export class Mesh {
  readonly #wire: Wire;
  readonly #client: Client<typeof MeshService>;

  /** Use `connect`. */
  constructor(wire: Wire) {
    this.#wire = wire;
    this.#client = createClient(MeshService, wire.transport);
  }

  /** The roots, how far a rotation is, and which devices are behind. @throws {ClientError} */
  root(options?: CallOptions): Promise<MeshRootInfo> {
    return this.#root(() => this.#client.getRoot({}, options), options);
  }

  /**
   * The newest root's key, as a file that the passphrase opens; nothing is removed.
   * @throws {ClientError} `ROOT_KEY_OFFLINE`, `REQUEST_INVALID` for a passphrase of less than 12 characters
   */
  exportRootKey(passphrase: string, options?: CallOptions): Promise<string> {
    return this.#wire.call(
      async () => (await this.#client.exportRootKey({ passphrase }, options)).file,
      options?.signal,
    );
  }

  /** Take that key off the gateway. @param fingerprint of the root whose exported key was read back @throws {ClientError} `ROOT_KEY_WRONG` */
  removeRootKey(fingerprint: string, options?: CallOptions): Promise<MeshRootInfo> {
    return this.#root(() => this.#client.removeRootKey({ fingerprint }, options), options);
  }

  /** Another issuing intermediate below the newest root. @throws {ClientError} `ROOT_KEY_OFFLINE`, `ROOT_KEY_WRONG` */
  renewIssuing(options: RootKeyOptions = {}): Promise<MeshRootInfo> {
    return this.#root(() => this.#client.renewIssuing(keyOf(options), options), options);
  }

  /** Make another root, trust both, and tell the nodes. @throws {ClientError} `ROTATION_STATE`, `ROOT_KEY_OFFLINE`, `ROOT_KEY_WRONG`, `REQUEST_INVALID` */
  startRotation(options: RootKeyOptions & { readonly overlapMs?: number } = {}): Promise<MeshRootInfo> {
    const { overlapMs } = options;
    const overlap = overlapMs === undefined ? {} : { overlap: durationFromMs(overlapMs) };
    return this.#root(() => this.#client.startRotation({ ...keyOf(options), ...overlap }, options), options);
  }

  /** Have the gateway's own certificates hang from the new root. @throws {ClientError} `ROTATION_STATE`; `DEVICES_BEHIND` unless forced */
  switchRotation(options: CallOptions & { readonly force?: boolean } = {}): Promise<MeshRootInfo> {
    return this.#root(() => this.#client.switchRotation({ force: options.force ?? false }, options), options);
  }

  /** Trust the old root no more. @throws {ClientError} `ROTATION_STATE`; `DEVICES_BEHIND` unless forced */
  finishRotation(options: CallOptions & { readonly force?: boolean } = {}): Promise<MeshRootInfo> {
    return this.#root(() => this.#client.finishRotation({ force: options.force ?? false }, options), options);
  }

  /**
   * Tell every node where the gateway will be, `host:port`; they then look for it there first.
   * @throws {ClientError} `REQUEST_INVALID`
   */
  move(
    to: { readonly addresses: readonly string[]; readonly pairing?: readonly string[] },
    options?: CallOptions,
  ): Promise<GatewayMoveInfo> {
    const request = { addresses: [...to.addresses], pairing: [...(to.pairing ?? [])] };
    return this.#wire.call(
      async () => moveInfo(required((await this.#client.move(request, options)).move, "move")),
      options?.signal,
    );
  }

  /** The newest move; `undefined` where there never was one. @throws {ClientError} */
  lastMove(options?: CallOptions): Promise<GatewayMoveInfo | undefined> {
    return this.#wire.call(async () => {
      const { move } = await this.#client.getMove({}, options);
      return move === undefined ? undefined : moveInfo(move);
    }, options?.signal);
  }

  #root(call: () => Promise<{ root?: MeshRoot | undefined }>, options: CallOptions | undefined): Promise<MeshRootInfo> {
    return this.#wire.call(async () => rootInfo(required((await call()).root, "root")), options?.signal);
  }
}

const PHASES: ReadonlyMap<RotationPhase, MeshRootInfo["phase"]> = new Map([
  [RotationPhase.STEADY, "steady"],
  [RotationPhase.OVERLAP, "overlap"],
  [RotationPhase.SWITCHED, "switched"],
]);

function keyOf({ rootKey }: RootKeyOptions) {
  return rootKey === undefined ? {} : { rootKey };
}

function rootInfo(root: MeshRoot): MeshRootInfo {
  return {
    meshId: root.meshId,
    meshName: root.meshName,
    roots: root.roots.map(({ version, fingerprint, notAfter, issuingNotAfter, shown }) => ({
      version,
      fingerprint,
      notAfter: timeOf(notAfter),
      issuingNotAfter: timeOf(issuingNotAfter),
      shown,
    })),
    phase: named(PHASES, root.phase, "rotation phase"),
    overlapUntil: timeOf(root.overlapUntil),
    keyIsHere: root.keyIsHere,
    devices: root.devices,
    unaware: root.unaware,
    outdated: root.outdated,
  };
}

function moveInfo({ version, at, addresses, pairing, devices, unaware }: GatewayMove): GatewayMoveInfo {
  return { version: Number(version), at: timeOf(at), addresses, pairing, devices, unaware };
}
