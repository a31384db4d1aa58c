/** What a gateway's daemon is made of, and in which order it is opened. */
import type { Authority, KeyStore } from "@quaymesh/identity";
import type { InheritedSocket, SocketAddress } from "@quaymesh/protocol";
import { systemClock, type Clock } from "../clock.ts";
import type { GatewayCore } from "../core.ts";
import type { GatewayError } from "../errors.ts";
import { silentLogger, type Logger } from "../logger.ts";
import type { MeshService } from "../mesh/service.ts";
import type { PairingDesk } from "../pairing/desk.ts";
import { openSqliteStore } from "../store/sqlite/sqlite-store.ts";
import { advertisedAddresses, formatAddress, mayAnswerFromElsewhere } from "./addresses.ts";
import { openAuthority, type SealingSource } from "./open-authority.ts";
import { openCore } from "./open-core.ts";
import { openMesh, openNews } from "./open-mesh.ts";
import { openPairing } from "./open-pairing.ts";
import { DEFAULT_MESH_NAME, DEFAULT_MESH_PORT, type GatewayOptions } from "./options.ts";
import type { StateLayout } from "./state-directory.ts";
import { GATEWAY_VERSION } from "./version.ts";

/** All that runs of a gateway, but for what operators reach it by. */
export interface GatewayParts {
  readonly layout: StateLayout;
  readonly keys: KeyStore;
  readonly authority: Authority;
  readonly core: GatewayCore;
  readonly mesh: MeshService;
  readonly pairing: PairingDesk;
  readonly addresses: readonly string[];
  readonly adminSocket: InheritedSocket | undefined;
  readonly version: string;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Where metrics are served besides the admin socket. */
  readonly metrics: SocketAddress | undefined;
  /** Disposed last to first: lock, store, core, pairing. */
  readonly resources: AsyncDisposableStack;
  /** Resolves when the store has broken; often never. */
  readonly storeBroken: Promise<GatewayError>;
}

/** Open what a gateway is made of, in the order in which it depends on each other. */
export async function openParts(
  options: GatewayOptions,
  layout: StateLayout,
  opening: AsyncDisposableStack,
): Promise<GatewayParts> {
  const { clock = systemClock, logger = silentLogger, meshName = DEFAULT_MESH_NAME } = options;
  const address = options.listen ?? { host: "0.0.0.0", port: DEFAULT_MESH_PORT };
  const { signal } = options;
  const { authority, keys } = await openAuthority(layout, { meshName, now: clock.now(), ...sourceOf(options) });
  await tellRootKey(authority, logger);
  const file = { path: layout.database, generationPath: layout.generation };
  const broken = Promise.withResolvers<GatewayError>();
  const store = opening.use(
    await openSqliteStore({ ...file, logger, onBroken: broken.resolve, ...(signal && { signal }) }),
  );
  // Sessions come before the pairing endpoint is set up; until then there is nothing to tell of it.
  const door: { desk?: PairingDesk } = {};
  const pairingAddresses = () => door.desk?.addresses ?? [];
  const news = await openNews(authority, store);
  const core = opening.use(
    await openCore(options, { authority, store, address, news, pairingAddresses, clock, logger }),
  );
  const addresses = advertisedAddresses(core.addresses, options.advertise).map(formatAddress);
  if (mayAnswerFromElsewhere(core.addresses)) {
    const listening = core.addresses.map(formatAddress);
    logger.info(
      { listening },
      "this machine has several addresses: a node that dials one the system does not answer from gets no answer; listen on each by name to avoid that",
    );
  }
  const common = { authority, store, core, news, clock, logger };
  const pairing = opening.use(await openPairing(options, { ...common, meshAddresses: addresses }));
  door.desk = pairing;
  const watching = new AbortController();
  opening.defer(() => watching.abort());
  const mesh = openMesh({ ...common, pairing, signal: watching.signal });
  const version = options.version ?? GATEWAY_VERSION;
  const storeBroken = broken.promise;
  const { adminSocket, metrics } = options;
  return {
    layout,
    keys,
    authority,
    core,
    mesh,
    pairing,
    addresses,
    adminSocket,
    version,
    logger,
    clock,
    metrics,
    storeBroken,
    resources: opening.move(),
  };
}

/** Nothing needs the root's key for years: that it is not what it was is to be known before then. */
async function tellRootKey(authority: Pick<Authority, "rootKeyHealth">, logger: Logger): Promise<void> {
  const health = await authority.rootKeyHealth();
  if (health === "missing") {
    logger.info({ rootKey: health }, "the root's key is not on this gateway: whoever exported it must keep that file");
  } else if (health === "damaged") {
    logger.error(
      { rootKey: health, code: "ROOT_KEY_DAMAGED" },
      "the root's key on this gateway is damaged: devices notice nothing, but no root can follow this one. Put authority/ back from a backup, or keep the exported key for when it is needed",
    );
  }
}

function sourceOf({ sealingKey, passphrase }: GatewayOptions): SealingSource {
  return { ...(sealingKey && { sealingKey }), ...(passphrase && { passphrase }) };
}
