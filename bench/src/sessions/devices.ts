/** Credentials of enrolled devices, as the runner hands them to the client processes: a file in a private directory that is removed after the run. */
import { readFile } from "node:fs/promises";
import { writeFileAtomic } from "@quaymesh/identity";

/** One device. */
export interface DeviceFile {
  readonly deviceId: string;
  readonly keyPem: string;
  readonly chainPem: string;
}

/** The mesh they belong to, and the devices. */
export interface DevicesFile {
  readonly rootPem: string;
  /** The DNS name in the gateway's certificate. */
  readonly serverName: string;
  readonly devices: readonly DeviceFile[];
}

const PRIVATE = 0o600;

/** Write the file, for its owner only. */
export async function writeDevices(path: string, content: DevicesFile): Promise<void> {
  await writeFileAtomic(path, Buffer.from(JSON.stringify(content)), { mode: PRIVATE });
}

/** Read what {@link writeDevices} wrote. @throws {TypeError} for anything else */
export async function readDevices(path: string): Promise<DevicesFile> {
  const { rootPem, serverName, devices } = fieldsOf(JSON.parse(await readFile(path, "utf8")));
  if (!Array.isArray(devices)) throw new TypeError("the file holds no devices");
  return { rootPem: textOf(rootPem), serverName: textOf(serverName), devices: devices.map(deviceOf) };
}

function deviceOf(value: unknown): DeviceFile {
  const { deviceId, keyPem, chainPem } = fieldsOf(value);
  return { deviceId: textOf(deviceId), keyPem: textOf(keyPem), chainPem: textOf(chainPem) };
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) throw new TypeError("expected an object");
  return Object.fromEntries(Object.entries(value));
}

function textOf(value: unknown): string {
  if (typeof value !== "string") throw new TypeError("expected text");
  return value;
}
