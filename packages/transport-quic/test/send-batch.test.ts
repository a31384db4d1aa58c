import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { HostPort } from "../src/binding.ts";
import type { Libc } from "../src/syscalls/libc.ts";
import { SendBatch } from "../src/syscalls/send-batch.ts";
import type { BatchSocket } from "../src/syscalls/send-batch.ts";

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
const fakeSocket = (): BatchSocket & {
  readonly copies: number[];
  readonly codes: string[];
  waiting: number;
  fd: number;
} => ({
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

  test("does not keep a large one: its receiver can work on it while the next is made", () => {
    const kernel = new FakeKernel();
    const batch = new SendBatch(kernel);
    const socket = fakeSocket();
    batch.slot(socket, 16_384).fill(1, 0, 16_000);
    batch.take(16_000, A);
    expect(kernel.sent).toEqual([[16_000]]);
    batch.slot(socket, 16_384).fill(2, 0, 100);
    batch.take(100, A);
    batch.flush();
    expect(kernel.sent).toEqual([[16_000], [100]]);
    expect(kernel.bytes).toEqual([1, 2]);
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

  test("is sent one by one to a host from the day the kernel won't cut messages to it, and only to that host", () => {
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
    gather(batch, socket, B, [100, 100], 5);
    batch.flush();
    expect(kernel.sent.at(-1)).toEqual([100, 100]);
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

describe("a socket that is closed while its batch leaves", () => {
  test("is not written to again: its descriptor may be somebody else's", () => {
    const kernel = new FakeKernel();
    const batch = new SendBatch(kernel);
    const socket = fakeSocket();
    const told: string[] = [];
    socket.refused = (code) => {
      told.push(code);
      socket.fd = -1;
      // As a connection that ends does.
      batch.flush();
    };
    kernel.answers.push("ENETUNREACH", "ENETUNREACH", "ENETUNREACH");
    gather(batch, socket, A, [100]);
    gather(batch, socket, B, [100], 1);
    batch.flush();
    const sent = kernel.sent.length;
    gather(batch, socket, A, [100], 2);
    batch.flush();
    expect(told[0]).toBe("ENETUNREACH");
    expect(kernel.sent).toHaveLength(sent);
    // What another socket gathers meanwhile is its own.
    gather(batch, fakeSocket(), B, [100], 7);
    batch.flush();
    expect(kernel.bytes.at(-1)).toBe(7);
  });

  test("is told after the call, so that what it writes then is not mixed with what was leaving", () => {
    const kernel = new FakeKernel();
    const batch = new SendBatch(kernel);
    const socket = fakeSocket();
    socket.refused = () => gather(batch, socket, A, [50], 9);
    kernel.answers.push("EPERM");
    // More messages than one call takes: the first are sent while the last are gathered.
    for (let index = 0; index < 70; index += 1) gather(batch, socket, index % 2 === 0 ? A : B, [100], index);
    batch.flush();
    batch.flush();
    expect(kernel.bytes).toEqual([...Array.from({ length: 69 }, (_, index) => index + 1), 9]);
  });
});
