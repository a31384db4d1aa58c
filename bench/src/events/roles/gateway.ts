import { Gateway } from "@quaymesh/gateway";
import { createQuicTransport } from "@quaymesh/transport-quic";
import type { Role } from "../calls.ts";

const PAIRING_CHILD = new URL("../../../../packages/cli/src/pairing-child.ts", import.meta.url);

/** A whole gateway. */
export async function serveGateway({ state }: Extract<Role, { kind: "gateway" }>) {
  const gateway = await Gateway.open({
    transport: createQuicTransport(),
    state,
    listen: { host: "127.0.0.1", port: 0 },
    pairing: { childModule: PAIRING_CHILD, listen: { host: "127.0.0.1", port: 0 } },
  });
  const port = Number(gateway.addresses[0]?.split(":").at(-1));
  return { answers: {}, port, stop: () => gateway.stop() };
}
