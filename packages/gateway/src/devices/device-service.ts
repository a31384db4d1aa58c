import { GatewayError } from "../errors.ts";
import type { SessionRegistry } from "../sessions/registry.ts";
import type { Store } from "../store/port.ts";
import type { EnrollInput, EnrollResult } from "../store/port-devices.ts";
import type { DeviceRow } from "../store/rows.ts";
import type { Dispatcher } from "../tasks/dispatcher.ts";
import type { GatewayTrust } from "../trust.ts";
import { revokeDevice, type RevocationContext } from "./revocation.ts";
import { revokeSelected } from "./bulk-revocation.ts";
import { rotateDevice, type RotationContext } from "./rotation.ts";
import type { DeviceService, DeviceView, RevocationPreview } from "./service.ts";

/** What {@link createDeviceService} takes. */
export interface DeviceServiceOptions extends RevocationContext, RotationContext {
  readonly store: Store;
  readonly trust: GatewayTrust;
  readonly registry: SessionRegistry;
  readonly dispatcher: Dispatcher;
}

/** Paired devices, for operators and for pairing. */
export function createDeviceService(options: DeviceServiceOptions): DeviceService {
  const { store, trust } = options;
  const find = async (device: string) => await findDevice(store, device);
  return {
    async list() {
      const rows = await store.devices.list();
      return await Promise.all(rows.map((row) => viewOf(options, row)));
    },
    get: async (device) => await viewOf(options, await find(device)),
    resolve: async (device) => await idOf(device, options),
    previewRevocation: async (device) => await previewOf(options, await find(device)),
    revoke: async (device, { reason = "" } = {}) => await revokeDevice(await idOf(device, options), reason, options),
    async previewSelected(selector) {
      const rows = await store.devices.select(selector);
      return await Promise.all(rows.map((row) => previewOf(options, row)));
    },
    revokeSelected: async (selector, { reason = "" } = {}) => await revokeSelected(selector, reason, options),
    rotate: async (device) => await rotateDevice((await find(device)).deviceId, options),
    async unfreeze(device) {
      const row = await store.devices.unfreeze({ deviceId: (await find(device)).deviceId });
      trust.unfreeze(row.deviceId);
      options.logger.warn({ device: row.deviceId }, "a frozen device may come back");
      return await viewOf(options, row);
    },
    enroll: async (input) => await enroll(store, trust, input),
    async addCertificate(certificate) {
      await store.devices.addCertificate(certificate);
      trust.enrol(certificate.deviceId, trusted(certificate));
    },
  };
}

async function previewOf(options: DeviceServiceOptions, row: DeviceRow): Promise<RevocationPreview> {
  const { store, registry } = options;
  const impact = await store.devices.revocationImpact(row.deviceId);
  return { device: await viewOf(options, row), sessions: registry.of(row.deviceId).length, ...impact };
}

/** Committed first, trusted then: a crash between the two costs a retry, the other way round it would admit a device nobody knows. */
async function enroll(store: Store, trust: GatewayTrust, input: EnrollInput): Promise<EnrollResult> {
  const result = await store.devices.enroll(input);
  trust.enrol(input.deviceId, trusted(input.certificate));
  // A re-pairing is a new beginning: what the device had before is not good any more, used or not.
  if (result.kind === "repaired") {
    trust.markUsed(input.deviceId, input.certificate.serial);
    trust.unfreeze(input.deviceId);
  }
  return result;
}

function trusted({ serial, spkiSha256 }: EnrollInput["certificate"]) {
  return { serial, spkiSha256: new Uint8Array(Buffer.from(spkiSha256, "hex")) };
}

/** As {@link findDevice}. Every paired device is in the trust index, so a whole id is no question to the store. */
async function idOf(wanted: string, { store, trust }: DeviceServiceOptions): Promise<string> {
  const deviceId = wanted.toUpperCase();
  return trust.statusOf(deviceId) === "unknown" ? (await findDevice(store, wanted)).deviceId : deviceId;
}

/** An id, a unique prefix of one, or a unique name; an id wins over a name, or a device that is called as another's id would hide it, and either over a prefix. */
async function findDevice(store: Store, wanted: string): Promise<DeviceRow> {
  const found = await store.devices.find(wanted);
  const itself = found.find(({ deviceId }) => deviceId === wanted.toUpperCase());
  if (itself !== undefined) return itself;
  const exact = found.filter(({ name }) => name === wanted);
  // A revoked device keeps its name; the one that took its place is who is meant.
  const living = exact.filter(({ revoked }) => !revoked);
  const matches = living.length > 0 ? living : exact.length > 0 ? exact : found;
  const [first] = matches;
  if (first === undefined) throw new GatewayError("DEVICE_NOT_FOUND", `no device ${wanted}`);
  if (matches.length > 1) {
    throw new GatewayError("DEVICE_AMBIGUOUS", `several devices match ${wanted}`, {
      metadata: { matches: matches.map(({ deviceId }) => deviceId).join(" ") },
    });
  }
  return first;
}

async function viewOf({ store, registry, dispatcher }: DeviceServiceOptions, row: DeviceRow): Promise<DeviceView> {
  const { deviceId } = row;
  const online = !row.revoked && registry.isOnline(deviceId);
  const view = online ? registry.current(deviceId)?.view() : undefined;
  const { running, slots } = dispatcher.usage(deviceId);
  return {
    deviceId,
    name: row.name,
    state: stateOf(row, online),
    labels: row.labels,
    purpose: row.purpose,
    platform: row.platform,
    software: row.software,
    pairedAt: row.pairedAt,
    lastSeenAt: view?.lastHeardAt ?? row.lastSeenAt,
    certificateNotAfter: row.certificateNotAfter,
    keyFingerprint: row.spkiSha256,
    capabilities: row.capabilities.map(({ name }) => name),
    runningTasks: running,
    taskSlots: slots,
    sessionEpoch: row.sessionEpoch,
    remoteAddress: view?.remoteAddress ?? row.remoteAddress,
    lastSeq: row.lastSeq,
    rotationRequestedAt: row.revoked ? undefined : row.rotationRequestedAt,
    revocation: row.revoked ? await store.devices.receipt(deviceId) : undefined,
  };
}

function stateOf(row: DeviceRow, online: boolean): DeviceView["state"] {
  if (row.revoked) return "revoked";
  if (row.frozenAt !== undefined) return "frozen";
  if (online) return "online";
  return row.sessionEpoch === 0 ? "new" : "offline";
}
