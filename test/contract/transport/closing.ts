import { expect, it } from "vitest";
import { CLOSE_CODES } from "@quaymesh/protocol";
import { Bench, nextStream, pattern, readAll, readExactly, transportError, type Setup } from "./fixture.ts";

/** How connections end. */
export function describeClosing(setup: Setup): void {
  it("a close gives code and reason to both ends, whoever closes", async () => {
    await using bench = await Bench.open(setup);
    const first = await bench.connect();
    first.server.close(CLOSE_CODES.revoked, "revoked");
    const revoked = { kind: "application", code: CLOSE_CODES.revoked, reason: "revoked" };
    expect(await first.client.closed).toEqual({ ...revoked, byPeer: true });
    expect(await first.server.closed).toEqual({ ...revoked, byPeer: false });
    const second = await bench.connect();
    second.client.close(CLOSE_CODES.protocol, "unreadable frame");
    const protocol = { kind: "application", code: CLOSE_CODES.protocol, reason: "unreadable frame" };
    expect(await second.server.closed).toEqual({ ...protocol, byPeer: true });
    expect(await second.client.closed).toEqual({ ...protocol, byPeer: false });
  });

  it("closed settles once: a second close changes nothing", async () => {
    await using bench = await Bench.open(setup);
    const { client, server } = await bench.connect();
    client.close(0x41, "first");
    client.close(0x42, "second");
    expect(await client.closed).toMatchObject({ code: 0x41, reason: "first" });
    expect(await server.closed).toMatchObject({ code: 0x41, reason: "first" });
    expect(await transportError(() => client.openStream())).toMatchObject({ close: { code: 0x41, reason: "first" } });
    server.close(0x43, "third");
    expect(await server.closed).toMatchObject({ code: 0x41, reason: "first" });
    expect(await client.closed).toMatchObject({ code: 0x41, reason: "first" });
  });

  it("cuts a reason at 128 bytes, between characters", async () => {
    await using bench = await Bench.open(setup);
    const { client, server } = await bench.connect();
    client.close(1, `x${"é".repeat(100)}`);
    expect(await server.closed).toMatchObject({ code: 1, reason: `x${"é".repeat(63)}` });
  });

  it("a close fails what waits and what comes later, with the close as the reason", async () => {
    await using bench = await Bench.open(setup);
    const { client, server } = await bench.connect({ maxStreams: 1 });
    const near = await client.openStream();
    await near.write(Uint8Array.of(1));
    const far = await nextStream(server);
    await readExactly(far, 1);
    const waits = [
      transportError(() => near.read()),
      transportError(() => far.read()),
      transportError(() => client.openStream()),
    ];
    const ended = server.incomingStreams[Symbol.asyncIterator]().next();
    server.close(0x50, "draining");
    for (const wait of waits) {
      expect(await wait).toMatchObject({ code: "CONNECTION_CLOSED", close: { kind: "application", code: 0x50 } });
    }
    expect((await ended).done).toBe(true);
    await client.closed;
    for (const later of [() => near.read(), () => near.write(Uint8Array.of(2)), () => client.openStream()]) {
      expect(await transportError(later)).toMatchObject({ code: "CONNECTION_CLOSED" });
    }
    near.reset(1);
    await near[Symbol.asyncDispose]();
  });

  it("a close wakes a writer that waits for room", async () => {
    await using bench = await Bench.open(setup);
    const { client, server } = await bench.connect();
    const near = await client.openStream();
    const writing = transportError(async () => {
      for (;;) await near.write(pattern(65_536));
    });
    await nextStream(server);
    server.close(0x53, "timeout");
    expect(await writing).toMatchObject({ code: "CONNECTION_CLOSED", close: { code: 0x53 } });
  });

  it("connections of one listener end apart", async () => {
    await using bench = await Bench.open(setup);
    const listener = await bench.listen();
    const accepted = listener[Symbol.asyncIterator]();
    const first = await bench.dial(listener.address);
    await accepted.next();
    const second = await bench.dial(listener.address, { credentials: bench.under.otherClient });
    const serverOfSecond = await accepted.next();
    if (serverOfSecond.done === true) throw new Error("the listener closed");
    first.close(0);
    const near = await second.openStream();
    await near.end(Uint8Array.of(1));
    expect(await readAll(await nextStream(serverOfSecond.value))).toEqual(Buffer.of(1));
  });
}
