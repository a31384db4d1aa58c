import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { meshServerName } from "@quaymesh/identity";
import { deviceIdOf, enrolDevice, foundMesh, type FoundedMesh } from "../../../test/chaos/rig/enrol.ts";
import { writeDevices, type DeviceFile } from "./devices.ts";

/** A gateway's state with devices in it, and the devices' credentials. Disposing removes both from the disk. */
export interface Enrolled extends AsyncDisposable {
  /** The state directory. */
  readonly state: string;
  readonly devicesFile: string;
}

/** The store commits what waits together. */
const AT_ONCE = 64;
/**
 * Make a mesh and enrol `count` devices, each with a key and a certificate of its own, as pairing would: in the state that a gateway then starts with.
 * @throws rethrows `signal.reason`; what identity and store throw
 */
export async function enrolDevices(count: number, signal: AbortSignal): Promise<Enrolled> {
  const directory = await mkdtemp(join(tmpdir(), "quaymesh-bench-"));
  const enrolled = {
    state: join(directory, "gateway"),
    devicesFile: join(directory, "devices.json"),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
  try {
    await using founded = await foundMesh(enrolled.state, "bench");
    const { authority } = founded;
    const devices: DeviceFile[] = [];
    while (devices.length < count) {
      signal.throwIfAborted();
      const first = devices.length;
      const batch = Array.from({ length: Math.min(AT_ONCE, count - first) }, (_, index) => first + index);
      devices.push(...(await Promise.all(batch.map((number) => enrolOne(founded, number)))));
    }
    const serverName = meshServerName(authority.meshId);
    await writeDevices(enrolled.devicesFile, { rootPem: authority.rootPem, serverName, devices });
    return enrolled;
  } catch (error) {
    await enrolled[Symbol.asyncDispose]();
    throw error;
  }
}

async function enrolOne(founded: FoundedMesh, number: number): Promise<DeviceFile> {
  const deviceId = deviceIdOf(number);
  const { keyPem, chainPem } = await enrolDevice(founded, { deviceId, name: `device-${String(number)}`, labels: [] });
  return { deviceId, keyPem, chainPem };
}
