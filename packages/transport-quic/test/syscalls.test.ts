import dgram from "node:dgram";
import { once } from "node:events";
import * as fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import type { HostPort } from "../src/binding.ts";
import { loadBatching } from "../src/syscalls/batching.ts";
import type { ReceiveBatch } from "../src/syscalls/receive-batch.ts";
import type { Libc } from "../src/syscalls/libc.ts";
import { SendBatch } from "../src/syscalls/send-batch.ts";
import type { BatchSocket } from "../src/syscalls/send-batch.ts";
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

/** A kernel that does as it is told, and reads the messages as the real one would. */
class FakeKernel implements Libc {
  readonly #memory = new Map<bigint, ArrayBuffer>();
  #nextAddress = 1n << 40n;
  #errno = "";
  /** What to answer to the next calls; success when there is nothing left. */
  readonly answers: (string | { readonly sent: number })[] = [];
  /** Lengths of the datagrams of each message sent. */
  readonly sent: number[][] = [];
  readonly bytes: number[] = [];

  addressOf(memory: ArrayBuffer): bigint {
    const address = this.#nextAddress;
    this.#memory.set(address, memory);
    this.#nextAddress += 1n << 32n;
    return address;
  }

  sendmmsg(_fd: number, messages: bigint, count: number): number {
    const answer = this.answers.shift();
    if (typeof answer === "string") {
      this.#errno = answer;
      return -1;
    }
    const taken = answer === undefined ? count : answer.sent;
    for (let index = 0; index < taken; index += 1) this.#send(messages + BigInt(index * 64));
    return taken;
  }

  #send(header: bigint): void {
    const iovec = this.#at(this.#at(header + 16n).getBigUint64(0, true));
    const data = this.#at(iovec.getBigUint64(0, true));
    const total = iovec.getUint32(8, true);
    const hasControl = this.#at(header + 40n).getUint32(0, true) > 0;
    const segment = hasControl ? this.#at(this.#at(header + 32n).getBigUint64(0, true)).getUint16(16, true) : total;
    const lengths: number[] = [];
    for (let at = 0; at < total; at += segment) {
      lengths.push(Math.min(segment, total - at));
      this.bytes.push(data.getUint8(at));
    }
    this.sent.push(lengths);
  }

  #at(address: bigint): DataView {
    for (const [base, memory] of this.#memory) {
      const offset = Number(address - base);
      if (offset >= 0 && offset < memory.byteLength) return new DataView(memory, offset);
    }
    throw new RangeError("EFAULT");
  }

  errno(): string {
    return this.#errno;
  }

  socket = (): number => 3;
  bind = (): number => 0;
  setsockopt = (): number => 0;
  close = (): number => 0;
  recvmmsg = (): number => 0;
}

/** A socket whose slow way is remembered. */
const fakeSocket = (): BatchSocket & { readonly copies: number[]; readonly codes: string[]; waiting: number } => ({
  fd: 3,
  family: 4,
  isConnected: false,
  copies: [],
  codes: [],
  waiting: 0,
  queued() {
    return this.waiting;
  },
  sendCopy(datagram) {
    this.copies.push(datagram[0] ?? -1);
  },
  refused(code) {
    this.codes.push(code);
  },
});

const A: HostPort = { host: "192.0.2.1", port: 1 };
const B: HostPort = { host: "192.0.2.2", port: 1 };

const gather = (batch: SendBatch, socket: BatchSocket, to: HostPort, lengths: readonly number[], mark = 0): void => {
  lengths.forEach((bytes, index) => {
    batch.slot(socket, 1400).fill(mark + index, 0, bytes);
    batch.take(bytes, to);
  });
};

describe("a batch of datagrams", () => {
  test("goes in one call, those of one length to one peer as one message", () => {
    const kernel = new FakeKernel();
    const batch = new SendBatch(kernel);
    const socket = fakeSocket();
    gather(batch, socket, A, [1350, 1350, 700, 1350]);
    gather(batch, socket, B, [1350, 1350], 4);
    expect(kernel.sent).toEqual([]);
    batch.flush();
    expect(kernel.sent).toEqual([[1350, 1350, 700], [1350], [1350, 1350]]);
    expect(kernel.bytes).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test("is cut where a message would be too long", () => {
    const kernel = new FakeKernel();
    const batch = new SendBatch(kernel);
    gather(
      batch,
      fakeSocket(),
      A,
      Array.from({ length: 130 }, () => 1400),
    );
    batch.flush();
    expect(kernel.sent.map((message) => message.length)).toEqual([46, 46, 38]);
    expect(kernel.sent.flat()).toHaveLength(130);
  });

  test("any datagrams in any order leave once each, in order, with their own length", () => {
    const datagrams = fc.array(
      fc.record({ to: fc.constantFrom(A, B), bytes: fc.constantFrom(1, 40, 1350, 1400), socket: fc.nat(1) }),
      { maxLength: 300 },
    );
    const troubles = fc.array(fc.oneof(fc.constantFrom("ECONNREFUSED", "EINTR"), fc.record({ sent: fc.constant(1) })), {
      maxLength: 4,
    });
    fc.assert(
      fc.property(datagrams, troubles, (all, answers) => {
        const kernel = new FakeKernel();
        const batch = new SendBatch(kernel);
        const sockets = [fakeSocket(), fakeSocket()];
        // A refusal in a row loses a datagram, as UDP may.
        kernel.answers.push(...answers.flatMap((answer) => [answer, { sent: 1 }]));
        all.forEach(({ to, bytes, socket }, index) => {
          const chosen = sockets[socket] ?? fakeSocket();
          batch.slot(chosen, 1400).fill(index % 251, 0, bytes);
          batch.take(bytes, to);
        });
        batch.flush();
        expect(kernel.bytes).toEqual(all.map((_, index) => index % 251));
        expect(kernel.sent.flat()).toEqual(all.map(({ bytes }) => bytes));
      }),
    );
  });

  test("goes the slow way, in order, from where the kernel had no room on", () => {
    const kernel = new FakeKernel();
    const batch = new SendBatch(kernel);
    const socket = fakeSocket();
    kernel.answers.push({ sent: 1 }, "EAGAIN");
    gather(batch, socket, A, [100, 100]);
    gather(batch, socket, B, [100, 100], 2);
    batch.flush();
    expect(kernel.bytes).toEqual([0, 1]);
    expect(socket.copies).toEqual([2, 3]);
    expect(socket.codes).toEqual([]);
    // Nothing may overtake what waits.
    socket.waiting = 2;
    gather(batch, socket, A, [100], 4);
    batch.flush();
    expect(socket.copies).toEqual([2, 3, 4]);
    expect(kernel.bytes).toEqual([0, 1]);
  });

  test("is sent one by one from the day the kernel won't cut messages for this socket", () => {
    const kernel = new FakeKernel();
    const batch = new SendBatch(kernel);
    const socket = fakeSocket();
    kernel.answers.push("EIO");
    gather(batch, socket, A, [100, 100, 50]);
    batch.flush();
    gather(batch, socket, A, [100, 100], 3);
    batch.flush();
    expect(kernel.sent).toEqual([[100], [100], [50], [100], [100]]);
    expect(socket.codes).toEqual([]);
    // Another socket may use another interface.
    gather(batch, fakeSocket(), A, [100, 100]);
    batch.flush();
    expect(kernel.sent.at(-1)).toEqual([100, 100]);
  });

  test("is not lost to an earlier datagram's refusal, and its own is told", () => {
    const kernel = new FakeKernel();
    const batch = new SendBatch(kernel);
    const socket = fakeSocket();
    kernel.answers.push("ECONNREFUSED");
    gather(batch, socket, A, [100]);
    batch.flush();
    expect(socket.codes).toEqual(["ECONNREFUSED"]);
    expect(kernel.bytes).toEqual([0]);
    kernel.answers.push("EPERM");
    gather(batch, socket, A, [100], 1);
    gather(batch, socket, B, [100], 2);
    batch.flush();
    expect(socket.codes).toEqual(["ECONNREFUSED", "EPERM"]);
    expect(kernel.bytes).toEqual([0, 2]);
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
    const receives = { drain: () => (drains += 1) } as unknown as ReceiveBatch;
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
    socket.turn();
    await hear(20);
    expect(drains).toBe(2);
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
