import { SERVER_AUTH, SERVER_NAME, createAuthority } from "./support/certificates.ts";
import { createQuicTransport } from "@quaymesh/transport-quic";
import { describeTransportContract } from "../../../test/contract/transport.ts";

for (const host of ["127.0.0.1", "::1"]) {
  describeTransportContract(`QUIC (${host})`, async () => {
    const authority = await createAuthority();
    return {
      transport: createQuicTransport(),
      host,
      serverName: SERVER_NAME,
      anchorsPem: authority.anchorsPem,
      server: await authority.issue("gateway", { usage: SERVER_AUTH }),
      client: await authority.issue("node"),
      otherClient: await authority.issue("other node"),
    };
  });
}
