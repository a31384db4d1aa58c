/** Making a backup: the keys, a consistent copy of the database and what both say, sealed as one stream. */
import { randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Authority, sealStream, type KeyStore, type SealedWith } from "@quaymesh/identity";
import type { StateLayout } from "../daemon/state-directory.ts";
import {
  ARCHIVE_FORMAT,
  DATABASE_ENTRY,
  FILE_PREFIX,
  KEY_PREFIX,
  writeArchive,
  type Entry,
  type Manifest,
} from "./archive.ts";
import { readFacts } from "./facts.ts";
import { snapshotDatabase } from "./snapshot.ts";

/** What {@link createBackup} takes. */
export interface CreateBackup {
  readonly layout: StateLayout;
  /** Opens the sealed keys: they go into the backup under its own key, so that it alone opens it. */
  readonly keys: KeyStore;
  /** What seals the backup. */
  readonly sealing: SealedWith;
  /** Unix milliseconds. */
  readonly now: number;
  /** Of this software. */
  readonly version: string;
}

/**
 * A backup, as a stream. The gateway may run: it is of the moment at which the copy of the database begins, and ingest does not wait for it. Room for that copy is needed in the state directory.
 * @throws {GatewayError} `STORE_*`; {IdentityError} `STORE_*`, `CA_INVALID`
 */
export async function* createBackup(options: CreateBackup): AsyncGenerator<Uint8Array, void, undefined> {
  const { layout, keys, sealing, now, version } = options;
  // Removed at the next start at the latest: it has the name of a temporary file.
  const copy = join(layout.directory, `.backup-${randomBytes(6).toString("hex")}.tmp`);
  try {
    await snapshotDatabase(layout.database, copy);
    const contents = await readSmall(layout, keys);
    try {
      const authority = await Authority.open({ store: keys });
      const { size } = await stat(copy);
      const manifest: Manifest = {
        format: ARCHIVE_FORMAT,
        version,
        meshId: authority.meshId,
        meshName: authority.meshName,
        createdAt: now,
        facts: readFacts(copy),
        entries: [
          ...[...contents].map(([name, { length }]) => ({ name, bytes: length })),
          { name: DATABASE_ENTRY, bytes: size },
        ],
      };
      yield* sealStream(
        writeArchive(manifest, (entry) => open(entry, contents, copy)),
        sealing,
      );
    } finally {
      for (const bytes of contents.values()) bytes.fill(0);
    }
  } finally {
    await rm(copy, { force: true });
  }
}

/** The secrets, and what lies beside them. */
async function readSmall(layout: StateLayout, keys: KeyStore): Promise<Map<string, Uint8Array>> {
  const contents = new Map<string, Uint8Array>();
  for (const name of await keys.names()) contents.set(`${KEY_PREFIX}${name}`, (await keys.get(name)).reveal());
  for (const entry of await readdir(layout.authority, { withFileTypes: true })) {
    // How they are sealed here says nothing of where they are restored.
    if (!entry.isFile() || entry.name === "sealing.json" || /^\.|\.sealed$/u.test(entry.name)) continue;
    contents.set(`${FILE_PREFIX}${entry.name}`, await readFile(join(layout.authority, entry.name)));
  }
  return contents;
}

async function* open(
  { name }: Entry,
  contents: ReadonlyMap<string, Uint8Array>,
  copy: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const bytes = contents.get(name);
  if (bytes !== undefined) yield bytes;
  else yield* createReadStream(copy, { highWaterMark: 1_048_576 }) as AsyncIterable<Uint8Array>;
}
