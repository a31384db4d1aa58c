/** Listens on the descriptors named in its arguments, prints where that is as JSON, echoes, and ends when its standard input does. */
import { SERVER_NAME } from "./certificates.ts";
import { createQuicTransport } from "@quaymesh/transport-quic";
import { PROTOCOL, serveEchoOnAll } from "./mesh.ts";
import { TransportError } from "@quaymesh/protocol";
import { json } from "node:stream/consumers";
import { writeSync } from "node:fs";

interface Order {
  readonly fds: readonly number[];
  readonly keyPem: string;
  readonly chainPem: string;
  readonly anchorsPem: string;
  readonly systemCalls: "auto" | "plain";
}

const say = (line: unknown): void => void writeSync(1, `${JSON.stringify(line)}\n`);

const { fds, keyPem, chainPem, anchorsPem, systemCalls } = (await json(process.stdin)) as Order;
try {
  const listener = await createQuicTransport({ systemCalls }).listen({
    address: fds.map((fd) => ({ fd })),
    protocol: PROTOCOL,
    credentials: { keyPem, chainPem },
    trust: { kind: "anchored", anchorsPem },
  });
  say({ addresses: listener.addresses, serverName: SERVER_NAME });
  process.on("SIGTERM", () => void listener.close());
  await serveEchoOnAll(listener);
} catch (error) {
  if (!(error instanceof TransportError)) throw error;
  say({ code: error.code, message: error.message });
}
