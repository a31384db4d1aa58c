import { expect, it } from "vitest";
import { LISTENER_CUTS, LISTENER_REFUSALS } from "@quaymesh/protocol";
import { ask, Bench, echo, nextConnection, pattern, refusalOf, type Setup } from "./fixture.ts";

const BYTES = 50_000;

/** What listeners and connections tell of themselves. */
export function describeStats(setup: Setup): void {
  it("both ends of a connection agree on its path and on what went over it", async () => {
    await using bench = await Bench.open(setup);
    const { client, server } = await bench.connect();
    const serving = echo(server);
    expect(await ask(client, pattern(BYTES))).toHaveLength(BYTES);
    const [near, far] = [client.stats(), server.stats()];
    expect(near.remoteAddress).toEqual(client.remoteAddress);
    expect(far.remoteAddress).toEqual(server.remoteAddress);
    expect(near.localAddress.port).toBe(far.remoteAddress.port);
    expect(far.localAddress.port).toBe(near.remoteAddress.port);
    for (const stats of [near, far]) {
      expect(stats.bytesSent).toBeGreaterThanOrEqual(BYTES);
      expect(stats.bytesReceived).toBeGreaterThanOrEqual(BYTES);
      for (const value of Object.values(stats)) {
        if (typeof value === "number") expect(value).toBeGreaterThanOrEqual(0);
      }
    }
    client.close(0);
    await serving;
    // Asked when it is over, it tells what was.
    expect(client.stats().bytesSent).toBeGreaterThanOrEqual(BYTES);
  });

  it("a listener counts whom it accepts and what they send, and knows when they are gone", async () => {
    await using bench = await Bench.open(setup);
    const listener = await bench.listen();
    expect(listener.stats()).toMatchObject({ connections: 0, halfOpen: 0, accepted: 0, refused: {}, cut: {} });
    const accepted = nextConnection(listener);
    const client = await bench.dial(listener.address);
    const serving = echo(await accepted);
    await ask(client, pattern(BYTES));
    const during = listener.stats();
    expect(during).toMatchObject({ connections: 1, halfOpen: 0, accepted: 1 });
    expect(during.bytesReceived).toBeGreaterThanOrEqual(BYTES);
    expect(during.bytesSent).toBeGreaterThanOrEqual(BYTES);
    client.close(0);
    await serving;
    await expect.poll(() => listener.stats().connections).toBe(0);
    const after = listener.stats();
    expect(after).toMatchObject({ accepted: 1, cut: {} });
    expect(after.bytesReceived).toBeGreaterThanOrEqual(during.bytesReceived);
  });

  it("reasons are those of the closed lists", async () => {
    await using bench = await Bench.open(setup);
    const listener = await bench.listen({ limits: { maxConnections: 1 } });
    await refusalOf(bench.dial(listener.address, { protocol: "something-else/1" }));
    const accepted = nextConnection(listener);
    await bench.dial(listener.address);
    await accepted;
    await refusalOf(bench.dial(listener.address, { credentials: bench.under.otherClient }));
    const { refused, cut } = listener.stats();
    expect(refused).toMatchObject({ "wrong-protocol": 1, busy: 1 });
    expect(LISTENER_REFUSALS).toEqual(expect.arrayContaining(Object.keys(refused)));
    expect(LISTENER_CUTS).toEqual(expect.arrayContaining(Object.keys(cut)));
  });
}
