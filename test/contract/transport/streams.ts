import { expect, it } from "vitest";
import { ask, Bench, echo, nextStream, pattern, readAll, readExactly, type Setup } from "./fixture.ts";

const MIB = 1_048_576;

/** Bytes on streams. */
export function describeStreams(setup: Setup): void {
  it("echoes bytes on a stream", async () => {
    await using bench = await Bench.open(setup);
    const { client, server } = await bench.connect();
    const serving = echo(server);
    for (const length of [1, 100, 1350, 65_536, 300_000]) {
      expect(Buffer.compare(await ask(client, pattern(length)), pattern(length))).toBe(0);
    }
    client.close(0);
    await serving;
  });

  it("delivers what is written without waiting for an end, both ways, in turns", async () => {
    await using bench = await Bench.open(setup);
    const { client, server } = await bench.connect();
    const near = await client.openStream();
    await near.write(Uint8Array.of(0));
    const far = await nextStream(server);
    expect(far.id).toBe(near.id);
    await readExactly(far, 1);
    for (let turn = 1; turn < 50; turn++) {
      await far.write(Uint8Array.of(turn));
      expect(await readExactly(near, 1)).toEqual(Buffer.of(turn));
      await near.write(Uint8Array.of(turn));
      expect(await readExactly(far, 1)).toEqual(Buffer.of(turn));
    }
    await near.end(Uint8Array.of(255));
    expect(await readAll(far)).toEqual(Buffer.of(255));
    await far.end(Uint8Array.of(254));
    expect(await readAll(near)).toEqual(Buffer.of(254));
  });

  it("reads into the caller's memory, no more than it holds, and mixes with plain reads", async () => {
    await using bench = await Bench.open(setup);
    const { client, server } = await bench.connect();
    const sent = pattern(200_000);
    const near = await client.openStream();
    const sending = near.end(sent);
    const far = await nextStream(server);
    await expect(far.read(new Uint8Array(0))).rejects.toThrow(RangeError);
    const memory = new Uint8Array(1000);
    const received: Uint8Array[] = [];
    for (let turn = 0; ; turn++) {
      const bytes = await (turn % 3 === 2 ? far.read() : far.read(memory));
      if (bytes === null) break;
      expect(bytes.length).toBeGreaterThan(0);
      expect(bytes.buffer === memory.buffer).toBe(turn % 3 !== 2);
      if (turn % 3 !== 2) expect(bytes.byteOffset).toBe(memory.byteOffset);
      received.push(bytes.slice());
    }
    await sending;
    expect(Buffer.compare(Buffer.concat(received), sent)).toBe(0);
    // One that waits before anything has come.
    const late = far.read(memory);
    expect(await late).toBeNull();
    const waiting = near.read(memory);
    await far.end(Uint8Array.of(1, 2, 3));
    expect(await waiting).toEqual(Uint8Array.of(1, 2, 3));
    expect(memory.subarray(0, 3)).toEqual(Uint8Array.of(1, 2, 3));
    expect(await near.read(memory)).toBeNull();
  });

  it("streams the listener opens reach the dialer", async () => {
    await using bench = await Bench.open(setup);
    const { client, server } = await bench.connect();
    const serving = echo(client);
    const answers = await Promise.all([1, 2, 3].map((byte) => ask(server, Uint8Array.of(byte))));
    expect(answers).toEqual([Buffer.of(1), Buffer.of(2), Buffer.of(3)]);
    server.close(0);
    await serving;
  });

  it("gives out streams in the order in which they were opened", async () => {
    await using bench = await Bench.open(setup);
    const { client, server } = await bench.connect();
    const ids: number[] = [];
    for (let index = 0; index < 20; index++) {
      const stream = await client.openStream();
      ids.push(stream.id);
      await stream.end(Uint8Array.of(index));
    }
    const seen: number[] = [];
    const first: number[] = [];
    for await (const stream of server.incomingStreams) {
      seen.push(stream.id);
      first.push((await readAll(stream))[0] ?? -1);
      if (seen.length === ids.length) break;
    }
    expect(seen).toEqual(ids);
    expect(first).toEqual(ids.map((_, index) => index));
  });

  it("carries many streams at once, more than may be open together", async () => {
    await using bench = await Bench.open(setup);
    const { client, server } = await bench.connect({ maxStreams: 32 });
    const serving = echo(server);
    const sent = Array.from({ length: 300 }, (_, index) => pattern(1 + index * 13, index));
    const answers = await Promise.all(sent.map((bytes) => ask(client, bytes)));
    for (const [index, bytes] of sent.entries())
      expect(Buffer.compare(answers[index] ?? Buffer.alloc(0), bytes)).toBe(0);
    client.close(0);
    await serving;
  });

  it("an aborted openStream gives its turn to the next", async () => {
    await using bench = await Bench.open(setup);
    const { client, server } = await bench.connect({ maxStreams: 1 });
    const only = await client.openStream();
    await only.write(Uint8Array.of(1));
    const controller = new AbortController();
    const waiting = client.openStream({ signal: controller.signal });
    const behind = client.openStream();
    const reason = new Error("no longer needed");
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    const far = await nextStream(server);
    await only.end(Uint8Array.of(2));
    expect(await readAll(far)).toEqual(Buffer.of(1, 2));
    await far.end(Uint8Array.of(3));
    expect(await readAll(only)).toEqual(Buffer.of(3));
    const next = await behind;
    expect(next.id).not.toBe(only.id);
    await expect(client.openStream({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  it("has taken the bytes when a write returns", async () => {
    await using bench = await Bench.open(setup);
    const { client, server } = await bench.connect();
    const stream = await client.openStream();
    const reused = pattern(40_000);
    await stream.write(reused);
    reused.fill(0);
    await stream.end(Uint8Array.of(9));
    const received = await readAll(await nextStream(server));
    expect(Buffer.compare(received, Buffer.concat([pattern(40_000), Buffer.of(9)]))).toBe(0);
  });

  it("a writer waits while nobody reads, others pass meanwhile, and nothing is lost", async () => {
    await using bench = await Bench.open(setup);
    const { client, server } = await bench.connect();
    const total = 24 * MIB;
    const piece = pattern(65_536);
    const big = await client.openStream();
    const progress = { written: 0 };
    const writing = (async () => {
      while (progress.written < total - piece.length) {
        await big.write(piece);
        progress.written += piece.length;
      }
      await big.end(piece);
    })();
    const unread = await nextStream(server);
    const serving = echo(server);
    // Round trips on other streams are the clock: the writer has stopped when it gets nowhere during many of them.
    let still = 0;
    for (let before = -1; still < 5; still = progress.written === before ? still + 1 : 0) {
      before = progress.written;
      for (let turn = 0; turn < 20; turn++) expect(await ask(client, Uint8Array.of(turn))).toEqual(Buffer.of(turn));
    }
    expect(progress.written).toBeLessThan(total / 2);
    let received = 0;
    for await (const chunk of unread) {
      for (let index = 0; index < chunk.length; index += 997) {
        const expected = piece[(received + index) % piece.length];
        if (chunk[index] !== expected) expect.fail(`byte ${received + index} differs`);
      }
      received += chunk.length;
    }
    await writing;
    expect(received).toBe(total);
    client.close(0);
    await serving;
  });

  it("streams that nobody takes or reads do not hold up the others", async () => {
    await using bench = await Bench.open(setup);
    const { client, server } = await bench.connect();
    for (let index = 0; index < 8; index++) {
      const ignored = await client.openStream();
      await ignored.write(pattern(1000));
    }
    const near = await client.openStream();
    await near.end(Uint8Array.of(42));
    const streams = server.incomingStreams[Symbol.asyncIterator]();
    for (let index = 0; index < 8; index++) await streams.next();
    const last = await streams.next();
    if (last.done === true) throw new Error("the connection closed");
    expect(await readAll(last.value)).toEqual(Buffer.of(42));
    await last.value.end(Uint8Array.of(43));
    expect(await readAll(near)).toEqual(Buffer.of(43));
  });
}
