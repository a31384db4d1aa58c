import type { BackupManifest } from "@quaymesh/gateway";
import { count, printable, span } from "./ui/format.ts";

/** What a backup holds, for people: label and value. */
export function manifestRows(manifest: BackupManifest, now: number): readonly (readonly [string, string])[] {
  const { facts, meshId, meshName, createdAt, version } = manifest;
  return [
    ["mesh", `${printable(meshName)} (${meshId})`],
    [
      "made",
      `${new Date(createdAt).toISOString()}, ${span(Math.max(0, now - createdAt))} ago, by ${printable(version)}`,
    ],
    ["devices", `${facts.devices}, ${facts.revoked} revoked`],
    ["revocations", `epoch ${facts.revocationEpoch}`],
    ["events", `up to offset ${count(facts.lastOffset)}`],
    ["tasks", `${facts.unfinishedTasks} unfinished`],
  ];
}

/** The same for programs. */
export function manifestJson(manifest: BackupManifest): Readonly<Record<string, unknown>> {
  const { facts, meshId, meshName, createdAt, version } = manifest;
  return { meshId, meshName, createdAt: new Date(createdAt).toISOString(), version, ...facts };
}
