import { join } from "node:path";

/** Where things are in a node's state directory (mode 0700; every file 0600). */
export interface StateLayout {
  readonly directory: string;
  /** The device's private key, PKCS #8 PEM. */
  readonly key: string;
  /** What pairing gave: certificate, pinned root, mesh, addresses. */
  readonly identity: string;
  /** The join token of the last welcome. */
  readonly join: string;
  /** Pairing attempts that a gateway left unproved, by address. */
  readonly unproved: string;
  /** The newest checkpoint of the mesh. */
  readonly seen: string;
  readonly outbox: string;
  /** One file for each attempt that runs. */
  readonly attempts: string;
  /** Held by the process that uses the directory. */
  readonly lock: string;
  /** What the running node said last, for `readNodeStatus`. */
  readonly status: string;
}

/** The layout of version 1, the only one so far; `identity.json` carries the version. */
export function layoutOf(directory: string): StateLayout {
  return {
    directory,
    key: join(directory, "device.key"),
    identity: join(directory, "identity.json"),
    join: join(directory, "join"),
    unproved: join(directory, "unproved.json"),
    seen: join(directory, "seen"),
    outbox: join(directory, "outbox"),
    attempts: join(directory, "attempts"),
    lock: join(directory, "lock"),
    status: join(directory, "status.json"),
  };
}
