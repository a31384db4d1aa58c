import { expect, it } from "vitest";
import { dialVerdict } from "@quaymesh/protocol";
import { ask, Bench, echo, nextConnection, refusalOf, transportError, type Setup } from "./fixture.ts";

/** Addresses, aborts, and what closing a listener means. */
export function describeListening(setup: Setup): void {
  it("binds port 0 to a real port, and both ends see the other's address and key", async () => {
    await using bench = await Bench.open(setup);
    const { listener, client, server } = await bench.connect();
    expect(listener.address.port).toBeGreaterThan(0);
    expect(client.remoteAddress).toEqual(bench.reachable(listener.address));
    expect(listener.addresses).toMatchObject([listener.address]);
    expect(server.remoteAddress.port).toBeGreaterThan(0);
    expect(server.peer.spkiSha256).toHaveLength(32);
    expect(client.peer.spkiSha256).toHaveLength(32);
    expect(server.peer.spkiSha256).not.toEqual(client.peer.spkiSha256);
    expect(server.peer.chain.length).toBeGreaterThan(0);
    expect(listener.stats()).toMatchObject({ connections: 1, accepted: 1 });
  });

  it("shows the same key for the same credentials and another for others", async () => {
    await using bench = await Bench.open(setup);
    const listener = await bench.listen();
    const keys: Uint8Array[] = [];
    const { client, otherClient } = bench.under;
    for (const credentials of [client, client, otherClient]) {
      const accepted = nextConnection(listener);
      await bench.dial(listener.address, { credentials });
      keys.push((await accepted).peer.spkiSha256);
    }
    expect(keys[1]).toEqual(keys[0]);
    expect(keys[2]).not.toEqual(keys[0]);
  });

  it("refuses a second listener on an address in use, and frees the address with the first", async () => {
    await using bench = await Bench.open(setup);
    const first = await bench.listen();
    const error = await transportError(() => bench.listen({ address: first.address }));
    expect(error.code).toBe("ADDRESS_IN_USE");
    await first.close();
    const second = await bench.listen({ address: first.address });
    expect(second.address).toEqual(first.address);
  });

  it("listens on several addresses as one listener, with one set of places and counters", async () => {
    await using bench = await Bench.open(setup);
    const { host } = bench.under;
    const any = { host, port: 0 };
    const listener = await bench.listen({ address: [any, any], limits: { maxConnections: 2 } });
    const [first, second, ...more] = listener.addresses;
    if (first === undefined || second === undefined) throw new Error("two addresses were asked for");
    expect(more).toEqual([]);
    expect(listener.address).toEqual({ host: first.host, port: first.port });
    expect(first.port).not.toBe(second.port);
    expect([first.asked, second.asked]).toEqual([any, any]);
    const serving: Promise<void>[] = [];
    const clients = [];
    for (const address of [first, second]) {
      const accepted = nextConnection(listener);
      const client = await bench.dial(address);
      clients.push(client);
      serving.push(echo(await accepted));
      expect(client.remoteAddress).toEqual(bench.reachable(address));
      expect(await ask(client, Uint8Array.of(address.port & 0xff))).toEqual(Buffer.of(address.port & 0xff));
    }
    expect(listener.stats()).toMatchObject({ connections: 2, accepted: 2 });
    for (const address of [first, second]) {
      const close = await refusalOf(bench.dial(address, { credentials: bench.under.otherClient }));
      expect(dialVerdict(close)).toBe("busy");
    }
    await listener.close(0x50, "draining");
    for (const client of clients) expect(await client.closed).toMatchObject({ code: 0x50, byPeer: true });
    await Promise.all(serving);
    // All of them are free again.
    await bench.listen({ address: [first, second] });
  });

  it("binds nothing where one of several addresses is taken, and names that one", async () => {
    await using bench = await Bench.open(setup);
    const taken = await bench.listen();
    const free = await bench.listen();
    await free.close();
    const error = await transportError(() => bench.listen({ address: [free.address, taken.address] }));
    expect(error.code).toBe("ADDRESS_IN_USE");
    expect(error.message).toContain(String(taken.address.port));
    await bench.listen({ address: free.address });
    const none = await transportError(() => bench.listen({ address: [] }));
    expect(none.code).toBe("ADDRESS_UNAVAILABLE");
  });

  it("says so when nothing listens where it dials", async () => {
    await using bench = await Bench.open(setup);
    const listener = await bench.listen();
    await listener.close();
    const error = await transportError(() => bench.dial(listener.address, { handshakeTimeoutMs: 300 }));
    expect(["UNREACHABLE", "HANDSHAKE_TIMEOUT"]).toContain(error.code);
  });

  it("rethrows the reason of an abort, before a dial and during it", async () => {
    await using bench = await Bench.open(setup);
    const listener = await bench.listen();
    const reason = new Error("changed my mind");
    await expect(bench.dial(listener.address, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await expect(bench.listen({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const dialing = bench.dial(listener.address, { signal: controller.signal });
    controller.abort(reason);
    await expect(dialing).rejects.toBe(reason);
    // The listener is none the worse for it.
    const accepted = nextConnection(listener);
    const client = await bench.dial(listener.address);
    const serving = echo(await accepted);
    expect(await ask(client, Uint8Array.of(1))).toEqual(Buffer.of(1));
    client.close(0);
    await serving;
  });

  it("an abort after the dial leaves the connection alone", async () => {
    await using bench = await Bench.open(setup);
    const listener = await bench.listen();
    const controller = new AbortController();
    const accepted = nextConnection(listener);
    const client = await bench.dial(listener.address, { signal: controller.signal });
    const serving = echo(await accepted);
    controller.abort();
    expect(await ask(client, Uint8Array.of(7))).toEqual(Buffer.of(7));
    client.close(0);
    await serving;
  });

  it("closing a listener closes its connections with the code, and ends its loop", async () => {
    await using bench = await Bench.open(setup);
    const { listener, client, server } = await bench.connect();
    const rest = listener[Symbol.asyncIterator]().next();
    await listener.close(0x50, "draining");
    expect(await client.closed).toEqual({ kind: "application", code: 0x50, reason: "draining", byPeer: true });
    await server.closed;
    expect((await rest).done).toBe(true);
    await listener.close(0x41, "again");
    await listener[Symbol.asyncDispose]();
  });

  it("can be disposed twice", async () => {
    await using bench = await Bench.open(setup);
    const { listener, client } = await bench.connect();
    const stream = await client.openStream();
    for (const resource of [stream, client, listener]) {
      await resource[Symbol.asyncDispose]();
      await resource[Symbol.asyncDispose]();
    }
    expect(await client.closed).toMatchObject({ kind: "application", code: 0, byPeer: false });
  });
}
