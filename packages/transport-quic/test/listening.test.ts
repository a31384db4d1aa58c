import dgram from "node:dgram";
import { once } from "node:events";
import { networkInterfaces } from "node:os";
import type { Connection, Listener, ListenAddress } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import { createQuicTransport } from "@quaymesh/transport-quic";
import type { QuicTransportOptions } from "@quaymesh/transport-quic";
import { nativeHost, resolve, shownHost, sourcePrefix, systemHost } from "../src/address.ts";
import { SERVER_AUTH, SERVER_NAME, createAuthority } from "./support/certificates.ts";
import { PROTOCOL, accept, ask, serveEchoOnAll } from "./support/mesh.ts";

const authority = await createAuthority();
const gateway = await authority.issue("gateway", { usage: SERVER_AUTH });
const node = await authority.issue("node");
const trust = { kind: "anchored", anchorsPem: authority.anchorsPem } as const;

type Lookup = NonNullable<QuicTransportOptions["lookup"]>;
/** A resolver that knows one name. */
const both: Lookup = (name) => {
  if (name !== "both.test") return Promise.reject(Object.assign(new Error("no such name"), { code: "ENOTFOUND" }));
  return Promise.resolve([
    { address: "::1", family: 6 },
    { address: "127.0.0.1", family: 4 },
    { address: "::1", family: 6 },
  ]);
};

interface Bench extends AsyncDisposable {
  readonly listener: Listener;
  dial(host: string, port: number): Promise<Connection>;
}

async function listen(
  address: ListenAddress | readonly ListenAddress[],
  options: QuicTransportOptions = {},
): Promise<Bench> {
  const transport = createQuicTransport({ lookup: both, ...options });
  const listener = await transport.listen({ address, protocol: PROTOCOL, credentials: gateway, trust });
  const dialed: Connection[] = [];
  return {
    listener,
    dial: async (host, port) => {
      const options_ = { protocol: PROTOCOL, serverName: SERVER_NAME, credentials: node, trust };
      const connection = await transport.dial({ host, port }, options_);
      dialed.push(connection);
      return connection;
    },
    [Symbol.asyncDispose]: async () => {
      for (const connection of dialed) await connection[Symbol.asyncDispose]();
      await listener.close();
    },
  };
}

const portsOf = ({ addresses }: Listener): number[] => addresses.map(({ port }) => port);

test("a name is listened on at each of its addresses once, on one port", async () => {
  const asked = { host: "both.test", port: 0 };
  await using bench = await listen(asked);
  const [port = 0] = portsOf(bench.listener);
  expect(bench.listener.addresses).toEqual([
    { host: "::1", port, asked },
    { host: "127.0.0.1", port, asked },
  ]);
  const serving = serveEchoOnAll(bench.listener);
  for (const host of ["::1", "127.0.0.1"]) {
    const dialed = await bench.dial(host, port);
    expect(await ask(dialed, Buffer.from("hi"))).toHaveLength(2);
    expect(dialed.remoteAddress).toEqual({ host, port });
  }
  await bench.listener.close();
  await serving;
});

test("what is listed twice is bound once, and a name that repeats an address adds the others", async () => {
  await using free = await listen({ host: "both.test", port: 0 });
  const { port } = free.listener.address;
  await free.listener.close();
  const address = [
    { host: "127.0.0.1", port },
    { host: "127.0.0.1", port },
    { host: "both.test", port },
  ];
  await using bench = await listen(address);
  expect(bench.listener.addresses.map(({ host }) => host)).toEqual(["127.0.0.1", "::1"]);
});

test.each(["auto", "plain"] as const)(
  ":: and 0.0.0.0 share a port, each with its own family (%s system calls)",
  async (systemCalls) => {
    await using free = await listen({ host: "::", port: 0 });
    const { port } = free.listener.address;
    await free.listener.close();
    const address = [
      { host: "::", port },
      { host: "0.0.0.0", port },
    ];
    await using bench = await listen(address, { systemCalls });
    expect(portsOf(bench.listener)).toEqual([port, port]);
    const serving = serveEchoOnAll(bench.listener);
    for (const host of ["127.0.0.1", "::1"]) {
      expect(await ask(await bench.dial(host, port), Buffer.from("hi"))).toHaveLength(2);
    }
    await bench.listener.close();
    await serving;
  },
);

test("0.0.0.0 is IPv4 alone", async () => {
  await using bench = await listen({ host: "0.0.0.0", port: 0 });
  const { port } = bench.listener.address;
  await expect(bench.dial("::1", port)).rejects.toMatchObject({ code: "UNREACHABLE" });
  const accepted = accept(bench.listener);
  await bench.dial("127.0.0.1", port);
  await accepted;
});

test("an IPv4 peer of a socket for both families is shown with its IPv4 address", async () => {
  await using bench = await listen({ host: "::", port: 0 });
  const accepted = accept(bench.listener);
  await bench.dial("127.0.0.1", bench.listener.address.port);
  expect((await accepted).remoteAddress.host).toBe("127.0.0.1");
});

test("answers leave by the socket that was asked, also before there is a connection", async () => {
  await using bench = await listen([
    { host: "127.0.0.1", port: 0 },
    { host: "127.0.0.1", port: 0 },
    { host: "::1", port: 0 },
  ]);
  // A version nobody has, in a datagram of the right size: answered with version negotiation.
  const probe = Buffer.alloc(1200);
  probe.set([0xc0, 0x0a, 0x0a, 0x0a, 0x0a, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0]);
  for (const { host, port } of bench.listener.addresses) {
    const socket = dgram.createSocket(host.includes(":") ? "udp6" : "udp4");
    // Unconnected: it would hear an answer from anywhere.
    socket.send(probe, port, host);
    const [, from] = (await once(socket, "message")) as [Buffer, dgram.RemoteInfo];
    expect({ host: from.address, port: from.port }).toEqual({ host, port });
    socket.close();
  }
  expect(bench.listener.stats()).toMatchObject({ datagramsReceived: 3, refused: { version: 3 } });
});

test("a connection's datagram that is sent to another address of the gateway neither moves nor resets it", async () => {
  await using bench = await listen([
    { host: "127.0.0.1", port: 0 },
    { host: "127.0.0.1", port: 0 },
  ]);
  const [first, second] = bench.listener.addresses;
  if (first === undefined || second === undefined) throw new Error("two addresses were asked for");
  const serving = serveEchoOnAll(bench.listener);
  // Between the two, so that the test sees the datagrams.
  const middle = dgram.createSocket("udp4");
  middle.bind(0, "127.0.0.1");
  await once(middle, "listening");
  const strays = dgram.createSocket("udp4");
  const heardFromSecond: Buffer[] = [];
  strays.on("message", (datagram) => heardFromSecond.push(datagram));
  let client: dgram.RemoteInfo | undefined;
  middle.on("message", (datagram, from) => {
    if (from.port === first.port) {
      if (client !== undefined) middle.send(datagram, client.port, client.address);
      return;
    }
    client = from;
    middle.send(datagram, first.port, first.host);
    strays.send(datagram, second.port, second.host);
  });
  const dialed = await bench.dial("127.0.0.1", middle.address().port);
  for (let round = 0; round < 20; round += 1) expect(await ask(dialed, Buffer.from("again"))).toHaveLength(5);
  // Short headers of the connection were among them; an unknown one is answered with a reset.
  strays.send(Buffer.alloc(60, 0x40), second.port, second.host);
  await expect.poll(() => heardFromSecond.length).toBeGreaterThan(0);
  expect(bench.listener.stats().refused["reset"]).toBe(1);
  expect(heardFromSecond).toHaveLength(1);
  await dialed[Symbol.asyncDispose]();
  await bench.listener.close();
  await serving;
  middle.close();
  strays.close();
});

test("where one of several cannot be bound the error names it, and the others are free", async () => {
  await using taken = await listen({ host: "::1", port: 0 });
  const { port } = taken.listener.address;
  const [one, two] = [
    { host: "127.0.0.1", port },
    { host: "both.test", port },
  ] as const;
  await expect(listen([one, two])).rejects.toMatchObject({
    code: "ADDRESS_IN_USE",
    message: `the address is in use: [::1]:${port} (both.test)`,
  });
  await expect(listen([one, { host: "198.51.100.1", port: 0 }])).rejects.toMatchObject({
    code: "ADDRESS_UNAVAILABLE",
    message: expect.stringContaining("198.51.100.1:0 (EADDRNOTAVAIL)") as string,
  });
  await expect(listen([one, { host: "no-such.test", port: 0 }])).rejects.toMatchObject({
    code: "ADDRESS_UNAVAILABLE",
    message: expect.stringContaining("no-such.test:0 (ENOTFOUND)") as string,
  });
  await using _free = await listen(one);
});

test("a name is dialed at its next address where the first does not answer, and the error tells of each", async () => {
  await using bench = await listen({ host: "127.0.0.1", port: 0 });
  const { port } = bench.listener.address;
  const accepted = accept(bench.listener);
  const dialed = await bench.dial("both.test", port);
  expect(dialed.remoteAddress).toEqual({ host: "127.0.0.1", port });
  await accepted;
  await dialed[Symbol.asyncDispose]();
  await bench.listener.close();
  const error = await bench.dial("both.test", port).catch((cause: unknown) => cause);
  expect(error).toMatchObject({
    code: "UNREACHABLE",
    cause: { errors: [{ code: "UNREACHABLE" }, { code: "UNREACHABLE" }] },
  });
  expect(String(error)).toContain(`[::1]:${port}: cannot reach [::1]:${port} (ECONNREFUSED)`);
  expect(String(error)).toContain(`127.0.0.1:${port}: cannot reach 127.0.0.1:${port} (ECONNREFUSED)`);
});

const linkLocal = Object.entries(networkInterfaces())
  .flatMap(([name, addresses]) => (addresses ?? []).map(({ address }) => ({ name, address })))
  .find(({ address }) => address.startsWith("fe80::"));

// Not every machine has an interface with a link-local address; where there is one this is as far as a single machine gets.
test.skipIf(linkLocal === undefined)("a link-local address is listened on and dialed by its zone", async () => {
  const host = `${linkLocal?.address}%${linkLocal?.name}`;
  await using bench = await listen({ host, port: 0 });
  const { port } = bench.listener.address;
  expect(bench.listener.address).toEqual({ host, port });
  const accepted = accept(bench.listener);
  const dialed = await bench.dial(host, port);
  expect(dialed.remoteAddress).toEqual({ host, port });
  const server = await accepted;
  expect(server.remoteAddress.host).toBe(host);
  // And by a socket that is bound to all addresses, where the kernel alone knows the zone.
  await using wild = await listen({ host: "::", port: 0 });
  const acceptedWild = accept(wild.listener);
  await wild.dial(host, wild.listener.address.port);
  expect((await acceptedWild).remoteAddress.host).toBe(host);
});

test("zones survive quiche, which knows none", () => {
  for (const host of ["fe80::1%eth0", "fe80::fc:ff:fe00:1%wlan0.100", "fe80::1%7"]) {
    const native = nativeHost(host);
    expect(native).toMatch(/^fe80:[1-9a-f][0-9a-f]*::[0-9a-f:]+$/u);
    expect(systemHost(native)).toBe(host);
    expect(nativeHost(host)).toBe(native);
  }
  expect(nativeHost("fe80::1%eth0")).not.toBe(nativeHost("fe80::1%eth1"));
  for (const host of ["127.0.0.1", "::1", "fe80::1", "2001:db8::1", "::ffff:192.0.2.1", "fe80:9999::1"]) {
    expect(nativeHost(host)).toBe(host);
    expect(systemHost(host)).toBe(host);
  }
  expect(shownHost("::ffff:192.0.2.1")).toBe("192.0.2.1");
});

test("link-local peers share a budget within their zone and no further, mapped ones have that of IPv4", () => {
  expect(sourcePrefix(nativeHost("fe80::1%eth0"))).toBe(sourcePrefix(nativeHost("fe80::2%eth0")));
  expect(sourcePrefix(nativeHost("fe80::1%eth0"))).not.toBe(sourcePrefix(nativeHost("fe80::1%eth1")));
  expect(sourcePrefix("fe80::1%eth0")).toBe(sourcePrefix(nativeHost("fe80::1%eth0")));
  expect(sourcePrefix("::ffff:192.0.2.7")).toBe(sourcePrefix("192.0.2.7"));
  expect(sourcePrefix("2001:db8:1:2:3::1")).toBe(sourcePrefix("2001:db8:1:2::ffff"));
});

test("a name's repeated addresses are resolved once, in the resolver's order", async () => {
  const found = await resolve({ host: "both.test", port: 7 }, both);
  expect(found).toEqual([
    { host: "::1", port: 7, family: 6 },
    { host: "127.0.0.1", port: 7, family: 4 },
  ]);
});
