/** Pairing as a gateway runs it, with a real store, a real authority and a real process; only the mesh sessions are played. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Authority } from "@quaymesh/identity";
import type { SocketAddress } from "@quaymesh/protocol";
import { sessionInput } from "../../../../test/contract/store-fixtures.ts";
import { systemClock, type Clock } from "../../src/clock.ts";
import { openAuthority } from "../../src/daemon/open-authority.ts";
import { stateLayout } from "../../src/daemon/state-directory.ts";
import { GatewayError } from "../../src/errors.ts";
import { silentLogger, type Logger } from "../../src/logger.ts";
import { PairingDesk } from "../../src/pairing/desk.ts";
import { PairingEndpoint } from "../../src/pairing/endpoint.ts";
import { DEFAULT_PAIRING_LIMITS, type EndpointLimits, type PairingLimits } from "../../src/pairing/limits.ts";
import type { OpenedWindow, OpenWindow } from "../../src/pairing/service.ts";
import type { Store } from "../../src/store/port.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";

export interface PairingRoom extends AsyncDisposable {
  readonly desk: PairingDesk;
  readonly store: Store;
  readonly authority: Authority;
  readonly endpoint: PairingEndpoint;
  readonly directory: string;
  /** The device's first session opens. */
  online(deviceId: string): void;
  open(options?: Partial<OpenWindow>): Promise<OpenedWindow>;
  /** Start over on the same state, as after a restart of the gateway. */
  restart(): Promise<void>;
}

export interface RoomOptions {
  readonly childModule?: URL;
  readonly limits?: Partial<PairingLimits>;
  readonly endpoint?: Partial<EndpointLimits>;
  readonly clock?: Clock;
  readonly logger?: Logger;
  readonly port?: number;
  readonly door?: "window" | "always";
  readonly refusing?: () => GatewayError | undefined;
}

/** Where a room's endpoint listens, or last did. */
export function addressOf(room: PairingRoom): SocketAddress {
  const [address] = room.endpoint.addresses;
  if (address === undefined) throw new Error("the endpoint was never open");
  return address;
}

/** Two holders of a device's key come, one with a token that is stale. */
export async function freeze(store: Store, deviceId: string): Promise<void> {
  const [fresh, stale] = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)];
  for (const shown of [undefined, fresh, stale]) {
    await store.sessions.open({ ...sessionInput(deviceId), join: { shown, fresh } });
  }
}

const CHILD = new URL("tcp-child.ts", import.meta.url);

export async function openRoom(options: RoomOptions = {}): Promise<PairingRoom> {
  const directory = await mkdtemp(join(tmpdir(), "quaymesh-pairing-"));
  const layout = stateLayout(directory);
  const clock = options.clock ?? systemClock;
  const { authority } = await openAuthority(layout, { meshName: "harbor", now: clock.now() });
  const store = await openSqliteStore({ path: layout.database });
  const waiting = new Map<string, () => void>();
  let current = await openDesk();
  return {
    get desk() {
      return current.desk;
    },
    get endpoint() {
      return current.endpoint;
    },
    store,
    authority,
    directory,
    online: (deviceId) => waiting.get(deviceId)?.(),
    open: (window) => current.desk.open({ name: "", labels: [], purpose: "", code: "ticket", ...window }),
    async restart() {
      await current.desk[Symbol.asyncDispose]();
      current = await openDesk();
    },
    async [Symbol.asyncDispose]() {
      await current.desk[Symbol.asyncDispose]();
      await store.close();
      await rm(directory, { recursive: true, force: true });
    },
  };

  async function openDesk(): Promise<{ desk: PairingDesk; endpoint: PairingEndpoint }> {
    const endpointLimits = { ...DEFAULT_PAIRING_LIMITS.endpoint, ...options.endpoint };
    const limits = { ...DEFAULT_PAIRING_LIMITS, ...options.limits, endpoint: endpointLimits };
    let endpoint: PairingEndpoint | undefined;
    const desk = await PairingDesk.open({
      authority,
      roots: () => ({ type: "roots", statements: [], settled: true }),
      store,
      devices: {
        enroll: (input) => store.devices.enroll(input),
        async get(device) {
          const [row] = await store.devices.find(device);
          if (row === undefined) throw new GatewayError("DEVICE_NOT_FOUND", `no device ${device}`);
          const state = row.revoked ? "revoked" : "offline";
          return {
            ...row,
            state,
            keyFingerprint: row.spkiSha256,
            revocation: undefined,
            runningTasks: 0,
            taskSlots: 0,
            capabilities: [],
          };
        },
        addCertificate: (certificate) => store.devices.addCertificate(certificate),
      },
      door: options.door ?? "window",
      ...(options.refusing && { refusing: options.refusing }),
      sessions: {
        whenOnline: (deviceId, wait) =>
          new Promise((resolve, reject) => {
            wait?.signal?.addEventListener("abort", () => reject(wait.signal?.reason), { once: true });
            waiting.set(deviceId, () => resolve(undefined as never));
          }),
      },
      openEndpoint: (peers) => {
        endpoint = new PairingEndpoint({
          childModule: options.childModule ?? CHILD,
          childArguments: [],
          addresses: [{ host: "127.0.0.1", port: options.port ?? 0 }],
          leaf: () => authority.issuePairingLeaf({ now: clock.now() }),
          limits: endpointLimits,
          clock,
          logger: options.logger ?? silentLogger,
          peers,
        });
        return endpoint;
      },
      ticketAddresses: (bound) => bound,
      meshAddresses: () => ["127.0.0.1:7420"],
      limits,
      clock,
      logger: options.logger ?? silentLogger,
    });
    if (endpoint === undefined) throw new Error("no endpoint was opened");
    return { desk, endpoint };
  }
}
