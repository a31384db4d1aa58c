/** Where a gateway keeps its state. The CLI, the client and the daemon all ask here. */
import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** Paths inside a gateway's state directory. */
export interface StateLayout {
  readonly directory: string;
  /** Held by the running gateway through a kernel lock; its content means nothing. */
  readonly lock: string;
  /** The running gateway's process id, for people. */
  readonly pid: string;
  /** The SQLite database. */
  readonly database: string;
  /** The highest generation of the database that was seen: an older copy put back is noticed. */
  readonly generation: string;
  /** The sealed authority. */
  readonly authority: string;
  /** The key that opens it, unless the operator keeps it elsewhere. */
  readonly authorityKey: string;
  /** The admin UNIX socket. */
  readonly adminSocket: string;
}

/**
 * The state directory when nobody names one: `QUAYMESH_STATE`, else `$XDG_STATE_HOME/quaymesh/gateway`, else
 * `~/.local/state/quaymesh/gateway`. Relative values are resolved against the working directory.
 */
export function defaultStateDirectory(env: NodeJS.ProcessEnv = process.env): string {
  const named = env["QUAYMESH_STATE"];
  if (named !== undefined && named !== "") return resolve(named);
  const xdg = env["XDG_STATE_HOME"];
  // The XDG specification: a relative value is invalid and ignored.
  const base = xdg?.startsWith("/") === true ? xdg : join(homedir(), ".local", "state");
  return join(base, "quaymesh", "gateway");
}

/** Paths inside `directory`, which is made absolute. Touches nothing. */
export function stateLayout(directory: string): StateLayout {
  const root = resolve(directory);
  return {
    directory: root,
    lock: join(root, "gateway.lock"),
    pid: join(root, "gateway.pid"),
    database: join(root, "gateway.sqlite"),
    generation: join(root, "generation"),
    authority: join(root, "authority"),
    authorityKey: join(root, "authority.key"),
    adminSocket: join(root, "admin.sock"),
  };
}
