import dgram from "node:dgram";
import { once } from "node:events";
import * as fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { loadBatching } from "../src/syscalls/batching.ts";
import { readSockaddr, SOCKADDR_BYTES, writeSockaddr } from "../src/syscalls/sockaddr.ts";
import { UdpSocket } from "../src/udp-socket.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0, family: 4 } as const;
const batching = await loadBatching();
if (batching === undefined)
  console.warn("SKIPPED: this platform has no batched system calls, or koffi is not installed");

const cleanUps: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

describe("an address for the kernel", () => {
  const through = (host: string, port: number, family: 4 | 6): unknown => {
    const bytes = new Uint8Array(SOCKADDR_BYTES);
    expect(writeSockaddr(bytes, host, port, family)).toBeGreaterThan(0);
    return readSockaddr(bytes);
  };

  test("is read back as it was written, IPv4", () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.nat(65_535), (address, port) => {
        expect(through(address, port, 4)).toEqual({ address, port });
        expect(through(address, port, 6)).toEqual({ address: `::ffff:${address}`, port });
      }),
    );
  });

  test("is read back in its canonical spelling, IPv6", () => {
    fc.assert(
      fc.property(fc.ipV6(), fc.nat(65_535), (address, port) => {
        // The URL parser is another implementation of RFC 5952; it does not know the dotted spelling of mapped addresses.
        const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
        fc.pre(!canonical.startsWith("::ffff:"));
        expect(through(address, port, 6)).toEqual({ address: canonical, port });
      }),
    );
  });

  test("keeps a zone, by number where no interface has it", () => {
    expect(through("fe80::1%7777", 5, 6)).toEqual({ address: "fe80::1%7777", port: 5 });
  });

  test("is refused where it is none of that family", () => {
    const bytes = new Uint8Array(SOCKADDR_BYTES);
    for (const host of ["::1", "example.org", "", "1.2.3"]) expect(writeSockaddr(bytes, host, 1, 4)).toBe(0);
    for (const host of ["fe80::1%no-such-zone", "example.org", ""]) expect(writeSockaddr(bytes, host, 1, 6)).toBe(0);
  });
});

describe.skipIf(batching === undefined)("sockets with batched calls", () => {
  const receiver = async (): Promise<UdpSocket> => {
    const socket = await UdpSocket.bind(LOOPBACK, { batching });
    cleanUps.push(() => socket.close());
    return socket;
  };

  test("carry every datagram whole, in order, and say where it came from", async () => {
    const [sender, one, two] = [await receiver(), await receiver(), await receiver()];
    const batch = sender.batch;
    if (batch === undefined) throw new Error("no batch");
    const heard = { one: [] as number[], two: [] as number[], sources: new Set<number>() };
    const done = Promise.withResolvers<void>();
    const into = (list: number[]) => ({
      datagram: (datagram: Buffer, from: { port: number }) => {
        list.push(datagram.length * 1000 + (datagram[datagram.length - 1] ?? 0));
        heard.sources.add(from.port);
        if (heard.one.length + heard.two.length === 210) done.resolve();
      },
      fault: (code: string) => done.reject(new Error(code)),
    });
    one.listen(into(heard.one));
    two.listen(into(heard.two));
    const expected = { one: [] as number[], two: [] as number[] };
    for (let index = 0; index < 210; index += 1) {
      const [to, list] = index % 70 < 50 ? ([one, expected.one] as const) : ([two, expected.two] as const);
      const bytes = index % 7 === 6 ? 600 : 1350;
      batch.slot(sender, 1350).fill(index, 0, bytes);
      batch.take(bytes, to.local);
      list.push(bytes * 1000 + index);
    }
    batch.flush();
    await done.promise;
    expect(heard.one).toEqual(expected.one);
    expect(heard.two).toEqual(expected.two);
    expect([...heard.sources]).toEqual([sender.local.port]);
    expect(one.received).toBe(expected.one.length);
  });

  test("do not share their port, though node:dgram allows it on every descriptor it is given", async () => {
    const socket = await receiver();
    const thief = dgram.createSocket({ type: "udp4", reuseAddr: true });
    cleanUps.push(() => void thief.close());
    const refused = once(thief, "error");
    thief.bind(socket.local.port, "127.0.0.1");
    expect(await refused).toMatchObject([{ code: "EADDRINUSE" }]);
  });

  test("take what waits once a turn, so that no sender keeps a turn from ending", async () => {
    if (batching === undefined) throw new Error("no batching");
    let drains = 0;
    // A drain that takes nothing leaves every datagram to node:dgram.
    const receives = { drain: () => void (drains += 1) };
    const socket = await UdpSocket.bind(LOOPBACK, { batching: { ...batching, receives } });
    const sender = await receiver();
    cleanUps.push(() => socket.close());
    const hear = async (count: number): Promise<void> => {
      const heard = Promise.withResolvers<void>();
      const until = socket.received + count;
      const check = (): void => {
        if (socket.received === until) heard.resolve();
      };
      socket.listen({ datagram: check, fault: (code) => heard.reject(new Error(code)) });
      for (let index = 0; index < count; index += 1) sender.send(Buffer.of(index), 1, socket.local);
      await heard.promise;
    };
    await hear(1);
    expect(drains).toBe(0);
    await hear(20);
    expect(drains).toBe(1);
    // Strays begin no turn of a connection; the next one begins all the same.
    await new Promise(setImmediate);
    await hear(20);
    expect(drains).toBe(2);
  });

  test("take large datagrams one by one", async () => {
    if (batching === undefined) throw new Error("no batching");
    let drains = 0;
    const receives = { drain: () => void (drains += 1) };
    const socket = await UdpSocket.bind(LOOPBACK, { batching: { ...batching, receives } });
    const sender = await receiver();
    cleanUps.push(() => socket.close());
    const heard = Promise.withResolvers<void>();
    socket.listen({
      datagram: () => void (socket.received === 10 && heard.resolve()),
      fault: (code) => heard.reject(new Error(code)),
    });
    for (let index = 0; index < 10; index += 1) sender.send(Buffer.alloc(16_000), 16_000, socket.local);
    await heard.promise;
    expect(drains).toBe(0);
  });

  test("fail to bind as node:dgram does", async () => {
    const socket = await receiver();
    await expect(UdpSocket.bind({ ...LOOPBACK, port: socket.local.port }, { batching })).rejects.toMatchObject({
      code: "EADDRINUSE",
    });
    await expect(UdpSocket.bind({ ...LOOPBACK, host: "192.0.2.1" }, { batching })).rejects.toMatchObject({
      code: "EADDRNOTAVAIL",
    });
  });
});
