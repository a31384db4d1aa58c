/** An endpoint's certificate is replaced while it runs: new handshakes see the new one, and nobody is cut. */
import { certificatesToPem, meshServerName, type Authority } from "@quaymesh/identity";
import type { Connection, Credentials, Listener } from "@quaymesh/protocol";
import { createQuicTransport } from "@quaymesh/transport-quic";
import { expect, test } from "vitest";
import { certifyDevice, temporaryAuthority } from "../authority.ts";

const transport = createQuicTransport();

async function withAuthority(run: (authority: Authority, device: Credentials) => Promise<void>): Promise<void> {
  const authority = await temporaryAuthority("harbor", Date.now());
  const { key, issued } = await certifyDevice(authority, "01JD0K3X9Y8QZ7V6T5S4R3P2N1", Date.now());
  await run(authority, { keyPem: key.privatePem().reveal(), chainPem: certificatesToPem(issued.chain) });
}

function echo(listener: Listener): void {
  const serve = async (connection: Connection): Promise<void> => {
    for await (const stream of connection.incomingStreams) await stream.end((await stream.read()) ?? undefined);
  };
  void (async () => {
    for await (const connection of listener) void serve(connection).catch(() => undefined);
  })();
}

async function says(connection: Connection, byte: number): Promise<number | undefined> {
  const stream = await connection.openStream();
  await stream.end(Uint8Array.of(byte));
  return (await stream.read())?.[0];
}

test("connections go on, new ones see the new certificate, and one that cannot be used changes nothing", async () => {
  await withAuthority(async (authority, device) => {
    const [first, second] = [
      await authority.issueGatewayLeaf({ now: Date.now() }),
      await authority.issueGatewayLeaf({ now: Date.now() }),
    ];
    await using listener = await transport.listen({
      address: { host: "127.0.0.1", port: 0 },
      protocol: "quaymesh/1",
      credentials: first.credentials,
      trust: { kind: "anchored", anchorsPem: authority.rootPem },
    });
    echo(listener);
    const dial = () =>
      transport.dial(listener.address, {
        protocol: "quaymesh/1",
        serverName: meshServerName(authority.meshId),
        credentials: device,
        trust: { kind: "anchored", anchorsPem: authority.rootPem },
      });
    await using old = await dial();
    expect(old.peer.spkiSha256).toEqual(first.spkiSha256);
    expect(await says(old, 1)).toBe(1);
    listener.setCredentials(second.credentials);
    await using young = await dial();
    expect(young.peer.spkiSha256).toEqual(second.spkiSha256);
    expect(await says(young, 2)).toBe(2);
    expect(await says(old, 3)).toBe(3);
    expect(() => listener.setCredentials({ ...first.credentials, keyPem: second.credentials.keyPem })).toThrow(
      expect.objectContaining({ code: "CREDENTIALS_INVALID" }),
    );
    await using last = await dial();
    expect(last.peer.spkiSha256).toEqual(second.spkiSha256);
  });
});

test("new handshakes are held to other trust anchors, one or several, and nobody is cut; what are none change nothing", async () => {
  await withAuthority(async (authority, device) => {
    await withAuthority(async (other, stranger) => {
      const { credentials } = await authority.issueGatewayLeaf({ now: Date.now() });
      await using listener = await transport.listen({
        address: { host: "127.0.0.1", port: 0 },
        protocol: "quaymesh/1",
        credentials,
        trust: { kind: "anchored", anchorsPem: authority.rootPem },
      });
      echo(listener);
      // In TLS 1.3 a dialer hears of its refusal a round trip later: an answer is what says that it is in.
      const isServed = async (shown: Credentials): Promise<boolean> => {
        const connection = await transport.dial(listener.address, {
          protocol: "quaymesh/1",
          serverName: meshServerName(authority.meshId),
          credentials: shown,
          trust: { kind: "anchored", anchorsPem: authority.rootPem },
        });
        const served = await says(connection, 1).catch(() => undefined);
        connection.close(0);
        return served === 1;
      };
      const dial = () =>
        transport.dial(listener.address, {
          protocol: "quaymesh/1",
          serverName: meshServerName(authority.meshId),
          credentials: device,
          trust: { kind: "anchored", anchorsPem: authority.rootPem },
        });
      await using before = await dial();
      expect(await says(before, 1)).toBe(1);
      expect([await isServed(device), await isServed(stranger)]).toEqual([true, false]);
      listener.setTrustAnchors(authority.rootPem + other.rootPem);
      expect([await isServed(device), await isServed(stranger)]).toEqual([true, true]);
      expect(() => listener.setTrustAnchors("no certificate")).toThrow(
        expect.objectContaining({ code: "CREDENTIALS_INVALID" }),
      );
      expect(() => listener.setTrustAnchors("")).toThrow(expect.objectContaining({ code: "CREDENTIALS_INVALID" }));
      listener.setTrustAnchors(other.rootPem);
      expect([await isServed(device), await isServed(stranger)]).toEqual([false, true]);
      expect(await says(before, 2)).toBe(2);
    });
  });
});

test("an endpoint that judges its peers by itself has no anchors to change", async () => {
  await withAuthority(async (authority) => {
    const { credentials } = await authority.issueGatewayLeaf({ now: Date.now() });
    await using listener = await transport.listen({
      address: { host: "127.0.0.1", port: 0 },
      protocol: "quaymesh-pair/1",
      credentials,
      trust: { kind: "judged", authorize: () => ({ kind: "accept" }) },
    });
    expect(() => listener.setTrustAnchors(authority.rootPem)).toThrow(
      expect.objectContaining({ code: "CREDENTIALS_INVALID" }),
    );
  });
});
