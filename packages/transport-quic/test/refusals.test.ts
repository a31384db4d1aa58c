import { expect, test } from "vitest";
import { TransportError, dialVerdict } from "@quaymesh/protocol";
import type { CloseInfo, Connection, Credentials, Verdict } from "@quaymesh/protocol";
import { FAULTS, createQuicTransport } from "@quaymesh/transport-quic";
import { SERVER_AUTH, SERVER_NAME, createAuthority, selfSigned } from "./support/certificates.ts";
import { PROTOCOL, accept, ask, openMesh, serveEcho, serveEchoOnAll } from "./support/mesh.ts";

const once = (channel: typeof FAULTS): Promise<unknown> =>
  new Promise((resolve) => {
    const listen = (message: unknown): void => {
      channel.unsubscribe(listen);
      resolve(message);
    };
    channel.subscribe(listen);
  });

// A TLS 1.3 client is connected before the server has judged it, so a refusal shows in either place.
const closeOf = async (dialing: Promise<Connection>): Promise<CloseInfo | undefined> => {
  try {
    return await (
      await dialing
    ).closed;
  } catch (error) {
    if (error instanceof TransportError) return error.close;
    throw error;
  }
};

test.each([
  ["revoked", 0x12c],
  ["expired", 0x12d],
  ["unknown", 0x12e],
  ["denied", 0x131],
  ["frozen", 0x131],
] as const)("a peer judged %s hears it as the TLS alert, and no stream of it is seen", async (reason, code) => {
  await using mesh = await openMesh({ authorize: () => ({ kind: "refuse", reason }) });
  const dialing = mesh.dial();
  const close = await closeOf(dialing);
  expect(close).toEqual({ kind: "transport", code, reason, byPeer: true });
  expect(close && dialVerdict(close)).toBe(reason);
  expect(mesh.listener.stats().refused[reason]).toBe(1);
  expect(mesh.listener.stats().accepted).toBe(0);
});

test("a request sent along with the handshake is not read from a refused peer", async () => {
  let judged = 0;
  const authorize = (): Verdict => {
    judged += 1;
    return { kind: "refuse", reason: "revoked" };
  };
  await using mesh = await openMesh({ authorize });
  const node = await mesh.dial();
  await expect(ask(node, Buffer.from("secret"))).rejects.toMatchObject({ code: "CONNECTION_CLOSED" });
  expect(judged).toBe(1);
  expect(mesh.listener.stats().accepted).toBe(0);
});

test("an authorize that throws refuses its peer, is reported, and spares the others", async () => {
  const reported = once(FAULTS);
  let isBroken = true;
  const authorize = (): Verdict => {
    if (isBroken) throw new Error("the trust index is on fire");
    return { kind: "accept" };
  };
  await using mesh = await openMesh({ authorize });
  expect(await closeOf(mesh.dial())).toMatchObject({ code: 0x131, byPeer: true });
  expect(await reported).toMatchObject({ where: "authorize", error: { message: "the trust index is on fire" } });
  isBroken = false;
  const accepted = accept(mesh.listener);
  const node = await mesh.dial();
  const serving = accepted.then(serveEcho);
  expect(await ask(node, Buffer.from("x"))).toHaveLength(1);
  node.close(0);
  await serving;
});

const bad: ReadonlyArray<readonly [string, () => Promise<Credentials>, number]> = [
  ["of another root", async () => (await createAuthority("other root")).issue("stranger"), 0x130],
  // Here BoringSSL finds an issuer and then a wrong signature: decrypt_error.
  ["of another root with the same name", async () => (await createAuthority()).issue("stranger"), 0x133],
  ["that is self-signed", () => selfSigned("stranger"), 0x130],
];

test.each(bad)("a certificate %s is refused inside TLS", async (_what, credentials, code) => {
  let judged = 0;
  await using mesh = await openMesh({
    authorize: () => {
      judged += 1;
      return { kind: "accept" };
    },
  });
  const close = await closeOf(mesh.dial({ credentials: await credentials() }));
  expect(close).toMatchObject({ kind: "transport", code, byPeer: true });
  expect(judged).toBe(0);
  expect(mesh.listener.stats().refused["untrusted"]).toBe(1);
});

test.each([
  ["expired", { notAfterHours: -1 }, 0x12d],
  ["meant for servers", { usage: SERVER_AUTH }, 0x12b],
  ["without its intermediate", { bare: true }, 0x130],
] as const)("a certificate of ours that is %s is refused inside TLS", async (_what, options, code) => {
  await using mesh = await openMesh();
  const credentials = await mesh.authority.issue("odd", options);
  expect(await closeOf(mesh.dial({ credentials }))).toMatchObject({ kind: "transport", code, byPeer: true });
});

test("a dialer refuses a gateway of another root, and says that it did", async () => {
  await using mesh = await openMesh();
  const stranger = await createAuthority("other root");
  const dialing = mesh.dial({ trust: { kind: "anchored", anchorsPem: stranger.anchorsPem } });
  await expect(dialing).rejects.toMatchObject({ code: "PEER_REFUSED", close: { code: 0x130, byPeer: false } });
});

test("a dialer refuses a gateway under another name", async () => {
  await using mesh = await openMesh();
  await expect(mesh.dial({ serverName: "other.quaymesh.internal" })).rejects.toMatchObject({ code: "PEER_REFUSED" });
});

test("a dialer's authorize may refuse the gateway", async () => {
  await using mesh = await openMesh();
  const { anchorsPem } = mesh.authority;
  const authorize = (): Verdict => ({ kind: "refuse", reason: "unknown" });
  const trust = { kind: "anchored", anchorsPem, authorize } as const;
  await expect(mesh.dial({ trust })).rejects.toMatchObject({ code: "PEER_REFUSED", close: { code: 0x12e } });
});

test("a dialer that speaks another protocol is told so", async () => {
  await using mesh = await openMesh();
  const close = await closeOf(mesh.dial({ protocol: "quaymesh/9" }));
  expect(close).toMatchObject({ kind: "transport", code: 0x178 });
});

test("in judged mode both sides see each other's self-signed certificate and decide themselves", async () => {
  const seen: Uint8Array[] = [];
  const transport = createQuicTransport();
  const judge = (peer: { spkiSha256: Uint8Array }): Verdict => {
    seen.push(peer.spkiSha256);
    return { kind: "accept" };
  };
  await using listener = await transport.listen({
    address: { host: "127.0.0.1", port: 0 },
    protocol: "quaymesh-pair/1",
    credentials: await selfSigned("gateway"),
    trust: { kind: "judged", authorize: judge },
  });
  const serving = serveEchoOnAll(listener);
  await using node = await transport.dial(listener.address, {
    protocol: "quaymesh-pair/1",
    serverName: SERVER_NAME,
    credentials: await selfSigned("node"),
    trust: { kind: "judged", authorize: judge },
  });
  expect(await ask(node, Buffer.from("hi"))).toHaveLength(2);
  expect(seen).toHaveLength(2);
  expect(Buffer.compare(seen[0] ?? Buffer.of(), node.peer.spkiSha256)).toBe(0);
  await listener.close();
  await serving;
});

test("a full listener refuses as busy, counts it, and accepts again once there is room", async () => {
  await using mesh = await openMesh({ limits: { maxConnections: 1 } });
  const accepted = accept(mesh.listener);
  const first = await mesh.dial();
  await accepted;
  const close = await closeOf(mesh.dial());
  expect(close).toEqual({ kind: "transport", code: 0x02, reason: "busy", byPeer: true });
  expect(close && dialVerdict(close)).toBe("busy");
  expect(mesh.listener.stats().refused["busy"]).toBe(1);
  first.close(0);
  const again = async (): Promise<Connection> => {
    for (;;) {
      const connection = await mesh.dial().catch(() => undefined);
      if (connection !== undefined) return connection;
    }
  };
  expect((await again()).remoteAddress.port).toBe(mesh.listener.address.port);
});

test("credentials that do not fit together are refused before a socket is opened", async () => {
  const authority = await createAuthority();
  const [one, other] = [await authority.issue("one"), await authority.issue("other")];
  const transport = createQuicTransport();
  const listening = (credentials: Credentials): Promise<unknown> =>
    transport.listen({
      address: { host: "127.0.0.1", port: 0 },
      protocol: PROTOCOL,
      credentials,
      trust: { kind: "anchored", anchorsPem: authority.anchorsPem },
    });
  const mixed = { keyPem: one.keyPem, chainPem: other.chainPem };
  await expect(listening(mixed)).rejects.toMatchObject({ code: "CREDENTIALS_INVALID" });
  await expect(listening({ keyPem: "nonsense", chainPem: one.chainPem })).rejects.toMatchObject({
    code: "CREDENTIALS_INVALID",
  });
});
