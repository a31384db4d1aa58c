import { createRequire } from "node:module";
import { SERVER_AUTH, SERVER_NAME, createAuthority } from "./support/certificates.ts";
import { describe, test } from "vitest";
import { createQuicTransport } from "@quaymesh/transport-quic";
import type { QuicTransportOptions } from "@quaymesh/transport-quic";
import { describeTransportContract } from "../../../test/contract/transport.ts";

interface Where {
  readonly host: string;
  readonly dialHost?: string;
  readonly options?: QuicTransportOptions;
}

const authority = await createAuthority();
const credentials = {
  anchorsPem: authority.anchorsPem,
  server: await authority.issue("gateway", { usage: SERVER_AUTH }),
  client: await authority.issue("node"),
  otherClient: await authority.issue("other node"),
};

const describeQuic = (name: string, { options, ...where }: Where): void =>
  describeTransportContract(`QUIC (${name})`, () =>
    Promise.resolve({
      transport: createQuicTransport(options),
      serverName: SERVER_NAME,
      ...credentials,
      ...where,
    }),
  );

describeQuic("127.0.0.1", { host: "127.0.0.1" });
describeQuic("::1", { host: "::1" });
describeQuic("IPv4 on a socket for both families", { host: "::", dialHost: "127.0.0.1" });
describeQuic("IPv6 on a socket for both families", { host: "::", dialHost: "::1" });
describeQuic("one system call a datagram", { host: "127.0.0.1", options: { systemCalls: "plain" } });

const infisical = `@infisical/quic-${process.platform}-${process.arch}`;
const isInstalled = (name: string): boolean => {
  try {
    createRequire(import.meta.url).resolve(name);
    return true;
  } catch {
    return false;
  }
};

// On platforms that the first package has builds for, the second is installed for this alone.
if (isInstalled(infisical)) describeQuic(infisical, { host: "127.0.0.1", options: { binding: "infisical" } });
else describe.skip(`the QUIC (${infisical}) transport keeps the contract`, () => test("is not installed here"));
