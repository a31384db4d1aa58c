import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { SocketAddress } from "@quaymesh/protocol";
import { errnoOf } from "../daemon/errno.ts";
import { formatAddress } from "../daemon/addresses.ts";
import { GatewayError } from "../errors.ts";
import { probesOnly, type ProbeParts } from "./probes.ts";

/** Scrapers and probes; whoever opens more is none. */
const MAX_CONNECTIONS = 64;
/** For the whole of a request's head. */
const REQUEST_TIMEOUT_MS = 5_000;
const MAX_HEADER_BYTES = 8_192;

/** The probes over HTTP on a TCP address, for scrapers that cannot open a UNIX socket. Unauthenticated: it tells what the gateway counts, and takes nothing. */
export class ProbeServer implements AsyncDisposable {
  readonly address: SocketAddress;
  readonly #server: Server;

  private constructor(server: Server, address: SocketAddress) {
    this.#server = server;
    this.address = address;
  }

  /** @throws {GatewayError} `PORT_IN_USE`, `ADDRESS_UNAVAILABLE` */
  static async listen(address: SocketAddress, parts: ProbeParts): Promise<ProbeServer> {
    const server = createServer(
      { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS, maxHeaderSize: MAX_HEADER_BYTES },
      probesOnly(parts),
    );
    server.maxConnections = MAX_CONNECTIONS;
    try {
      const listening = once(server, "listening");
      server.listen(address.port, address.host);
      await listening;
    } catch (cause) {
      throw listenError(cause, address);
    }
    // A connection that could not be accepted is that client's loss.
    server.on("error", () => {});
    const bound = server.address();
    const port = typeof bound === "object" && bound !== null ? bound.port : address.port;
    return new ProbeServer(server, { host: address.host, port });
  }

  /** Accept no more and end what is open. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

function listenError(cause: unknown, address: SocketAddress): GatewayError {
  const where = formatAddress(address);
  const metadata = { address: where, port: String(address.port) };
  if (errnoOf(cause) === "EADDRINUSE") {
    return new GatewayError("PORT_IN_USE", `TCP port ${address.port} of ${address.host} is in use`, {
      cause,
      metadata,
    });
  }
  return new GatewayError(
    "ADDRESS_UNAVAILABLE",
    `cannot serve metrics on ${where}: ${errnoOf(cause) ?? String(cause)}`,
    {
      cause,
      metadata,
    },
  );
}
