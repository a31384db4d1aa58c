import { chmod, lstat, readFile, readlink, unlink } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { InheritedSocket } from "@quaymesh/protocol";
import { errnoOf } from "../daemon/errno.ts";
import { GatewayError } from "../errors.ts";
import { HttpVersions } from "./http-versions.ts";
import type { RequestListener } from "./request-listener.ts";

/** Bytes of a UNIX socket's path: `sun_path` holds 108 with the final zero. @see unix(7) */
export const MAX_SOCKET_PATH_BYTES = 107;
/** How long calls under way may take to end once the socket closes. */
const CLOSE_GRACE_MS = 2_000;
/** Connections at once. */
const MAX_CONNECTIONS = 1_024;

/** The admin UNIX socket: who may open it is admin, so the file is 0600 in a 0700 directory. */
export class AdminSocket implements AsyncDisposable {
  readonly path: string;
  readonly #server: Server;
  readonly #versions: HttpVersions;
  readonly #sockets: Set<Socket>;
  #closing: Promise<void> | undefined;

  private constructor(path: string, server: Server, versions: HttpVersions, sockets: Set<Socket>) {
    this.path = path;
    this.#server = server;
    this.#versions = versions;
    this.#sockets = sockets;
  }

  /**
   * Listen on a path, or on a socket that was made for us. A socket file that nobody answers on is replaced; one that was made for us stays, as do its permissions.
   * @throws {GatewayError} `ADMIN_SOCKET_PATH_TOO_LONG`, `ADMIN_SOCKET_IN_USE`, `ADMIN_SOCKET_FAILED`
   */
  static async listen(where: string | InheritedSocket, listener: RequestListener): Promise<AdminSocket> {
    if (typeof where === "string") assertSocketPath(where);
    const versions = new HttpVersions(listener);
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
      versions.serve(socket);
    });
    server.maxConnections = MAX_CONNECTIONS;
    try {
      if (typeof where === "string") {
        await listenReplacing(server, where);
        // Before this the directory alone keeps others out.
        await chmod(where, 0o600);
      } else {
        await listen(server, where);
      }
    } catch (cause) {
      server.close();
      if (cause instanceof GatewayError) throw cause;
      const path = typeof where === "string" ? where : `file descriptor ${where.fd}`;
      throw new GatewayError("ADMIN_SOCKET_FAILED", `cannot listen on ${path} (${errnoOf(cause) ?? String(cause)})`, {
        cause,
        metadata: { path },
      });
    }
    return new AdminSocket(typeof where === "string" ? where : await pathOf(where), server, versions, sockets);
  }

  /** Accept nothing more, let calls under way end for a moment, and remove the file. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#versions.closeIdle();
    const late = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, CLOSE_GRACE_MS);
    await closed;
    clearTimeout(late);
  }
}

/** @throws {GatewayError} `ADMIN_SOCKET_PATH_TOO_LONG` */
export function assertSocketPath(path: string): void {
  const bytes = Buffer.byteLength(path);
  if (bytes <= MAX_SOCKET_PATH_BYTES) return;
  throw new GatewayError("ADMIN_SOCKET_PATH_TOO_LONG", `the admin socket's path has ${bytes} bytes: ${path}`, {
    metadata: { path, bytes: String(bytes) },
  });
}

async function listenReplacing(server: Server, path: string): Promise<void> {
  try {
    await listen(server, path);
  } catch (cause) {
    if (errnoOf(cause) !== "EADDRINUSE") throw cause;
    // Connecting to a plain file is refused just as a dead socket is; a file must not be removed for that.
    if (!(await lstat(path)).isSocket()) throw cause;
    if (await answers(path)) {
      throw new GatewayError("ADMIN_SOCKET_IN_USE", `somebody answers on ${path}`, { cause, metadata: { path } });
    }
    await unlink(path);
    await listen(server, path);
  }
}

/** Columns of `/proc/net/unix`. proc(5) */
const INODE_COLUMN = 6;
const PATH_COLUMN = 7;

// Node does not know the path of a socket that it did not make; on Linux the kernel tells.
async function pathOf({ fd }: InheritedSocket): Promise<string> {
  const target = await readlink(`/proc/self/fd/${fd}`).catch(() => "");
  const inode = /^socket:\[(\d+)\]$/u.exec(target)?.[1];
  const table = inode === undefined ? "" : await readFile("/proc/self/net/unix", "utf8").catch(() => "");
  const row = table
    .split("\n")
    .map((line) => line.split(/\s+/u))
    .find((columns) => columns[INODE_COLUMN] === inode);
  return row?.slice(PATH_COLUMN).join(" ") || `fd:${fd}`;
}

function listen(server: Server, where: string | InheritedSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(where, () => {
      server.removeListener("error", reject);
      // A connection that could not be accepted (too many open files, say) is that client's loss.
      server.on("error", () => {});
      resolve();
    });
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", (error) => resolve(errnoOf(error) !== "ECONNREFUSED" && errnoOf(error) !== "ENOENT"));
  });
}
