import { expect, it } from "vitest";
import { Bench, nextStream, pattern, readAll, readExactly, transportError, type Setup } from "./fixture.ts";

/** How streams end. */
export function describeStreamEnds(setup: Setup): void {
  it("closes one half and goes on with the other", async () => {
    await using bench = await Bench.open(setup);
    const { client, server } = await bench.connect();
    const near = await client.openStream();
    await near.end(pattern(10));
    const far = await nextStream(server);
    expect(await readAll(far)).toEqual(Buffer.from(pattern(10)));
    expect(await far.read()).toBeNull();
    for (let index = 0; index < 5; index++) {
      await far.write(pattern(1000, index));
      expect(Buffer.compare(await readExactly(near, 1000), pattern(1000, index))).toBe(0);
    }
    await far.end(Uint8Array.of(1));
    expect(await readAll(near)).toEqual(Buffer.of(1));
  });

  it("an end of its own, in the same turn or later, is seen", async () => {
    await using bench = await Bench.open(setup);
    const { client, server } = await bench.connect();
    const near = await client.openStream();
    void near.write(Uint8Array.of(1));
    void near.end();
    const far = await nextStream(server);
    expect(await readAll(far)).toEqual(Buffer.of(1));
    await far.write(Uint8Array.of(2));
    expect(await readExactly(near, 1)).toEqual(Buffer.of(2));
    await far.end();
    expect(await near.read()).toBeNull();
  });

  it("nothing can be written after the end, and ending twice is no mistake", async () => {
    await using bench = await Bench.open(setup);
    const { client, server } = await bench.connect();
    const near = await client.openStream();
    await near.end(Uint8Array.of(1));
    const error = await transportError(() => near.write(Uint8Array.of(2)));
    expect(error.code).toBe("STREAM_ENDED");
    await near.end();
    await near.end(Uint8Array.of(3));
    expect(await readAll(await nextStream(server))).toEqual(Buffer.of(1));
  });

  it("a reset carries its code to both directions of the peer, and to the one who did it", async () => {
    await using bench = await Bench.open(setup);
    const { client, server } = await bench.connect();
    const near = await client.openStream();
    await near.write(Uint8Array.of(1));
    const far = await nextStream(server);
    await readExactly(far, 1);
    const reading = transportError(() => far.read());
    near.reset(0x77);
    near.reset(0x78);
    expect(await reading).toMatchObject({ code: "STREAM_RESET", resetCode: 0x77 });
    expect(await transportError(() => far.write(Uint8Array.of(1)))).toMatchObject({
      code: "STREAM_RESET",
      resetCode: 0x77,
    });
    expect(await transportError(() => near.read())).toMatchObject({ code: "STREAM_RESET" });
    expect(await transportError(() => near.write(Uint8Array.of(1)))).toMatchObject({ code: "STREAM_RESET" });
  });

  it("the side that did not open a stream can reset it too", async () => {
    await using bench = await Bench.open(setup);
    const { client, server } = await bench.connect();
    const near = await client.openStream();
    await near.write(Uint8Array.of(1));
    const far = await nextStream(server);
    far.reset(0x1234);
    expect(await transportError(() => near.read())).toMatchObject({ code: "STREAM_RESET", resetCode: 0x1234 });
  });

  it("a reset wakes a writer that waits for room", async () => {
    await using bench = await Bench.open(setup);
    const { client, server } = await bench.connect();
    const near = await client.openStream();
    const writing = transportError(async () => {
      for (;;) await near.write(pattern(65_536));
    });
    const far = await nextStream(server);
    far.reset(0x21);
    expect(await writing).toMatchObject({ code: "STREAM_RESET", resetCode: 0x21 });
  });

  it("disposing an unfinished stream resets it, and only it", async () => {
    await using bench = await Bench.open(setup);
    const { client, server } = await bench.connect();
    const near = await client.openStream();
    await near.write(Uint8Array.of(1));
    const far = await nextStream(server);
    await readExactly(far, 1);
    await near[Symbol.asyncDispose]();
    expect(await transportError(() => far.read())).toMatchObject({ code: "STREAM_RESET" });
    const other = await client.openStream();
    await other.end(Uint8Array.of(2));
    expect(await readAll(await nextStream(server))).toEqual(Buffer.of(2));
  });

  it("leaving the loop over incoming streams refuses later ones", async () => {
    await using bench = await Bench.open(setup);
    const { client, server } = await bench.connect();
    const first = await client.openStream();
    await first.end(Uint8Array.of(1));
    for await (const stream of server.incomingStreams) {
      expect(await readAll(stream)).toEqual(Buffer.of(1));
      break;
    }
    const later = await client.openStream();
    await later.write(Uint8Array.of(2));
    expect(await transportError(() => later.read())).toMatchObject({ code: "STREAM_RESET" });
  });
}
