/** A first start, to be killed in its middle. */
import { certificatesFromPem } from "@quaymesh/identity";
import { createMemoryNetwork } from "@quaymesh/protocol/memory";
import { Gateway } from "../../src/daemon/gateway.ts";
import { spkiOf } from "../pairing/tcp-transport.ts";

await Gateway.open({
  state: process.argv[2] ?? "",
  meshName: "harbor",
  listen: { host: "127.0.0.1", port: 7420 },
  transport: createMemoryNetwork({
    peerOf({ chainPem }) {
      const chain = certificatesFromPem(chainPem);
      return { chain, spkiSha256: spkiOf(chain[0] ?? new Uint8Array()) };
    },
  }),
  pairing: { childModule: new URL("../pairing/tcp-child.ts", import.meta.url) },
});
