import { expect, it } from "vitest";
import {
  dialVerdict,
  REFUSAL_CODES,
  TransportError,
  verdictOfRefusal,
  type PeerIdentity,
  type RefusalReason,
  type RefusedAttempt,
} from "@quaymesh/protocol";
import { ask, Bench, echo, nextConnection, refusalOf, transportError, type Setup } from "./fixture.ts";

/** Who is let in. */
export function describeAdmission(setup: Setup): void {
  it.each<RefusalReason>(["revoked", "expired", "unknown", "denied", "frozen"])(
    "a dialer refused as %s sees its code, and is never given to the listener",
    async (reason) => {
      await using bench = await Bench.open(setup);
      let judged: PeerIdentity | undefined;
      let refuse = true;
      const listener = await bench.listen({
        authorize: (peer) => {
          judged = peer;
          return refuse ? { kind: "refuse", reason } : { kind: "accept" };
        },
      });
      const first = nextConnection(listener);
      const close = await refusalOf(bench.dial(listener.address));
      expect(close).toMatchObject({ kind: "transport", code: REFUSAL_CODES[reason], byPeer: true });
      expect(dialVerdict(close)).toBe(reason);
      expect(listener.stats().refused[reason]).toBe(1);
      expect(listener.stats().accepted).toBe(0);
      refuse = false;
      const client = await bench.dial(listener.address, { credentials: bench.under.otherClient });
      const server = await first;
      expect(judged?.spkiSha256).toEqual(server.peer.spkiSha256);
      const serving = echo(server);
      expect(await ask(client, Uint8Array.of(5))).toEqual(Buffer.of(5));
      client.close(0);
      await serving;
    },
  );

  it("whoever listens is told of each client it turned away, with the verdict that the client hears", async () => {
    await using bench = await Bench.open(setup);
    const told: RefusedAttempt[] = [];
    const listener = await bench.listen({
      authorize: () => ({ kind: "refuse", reason: "frozen" }),
      onRefused: (refused) => told.push(refused),
    });
    const close = await refusalOf(bench.dial(listener.address));
    expect(told).toMatchObject([{ reason: "frozen" }]);
    expect(told.map(verdictOfRefusal)).toEqual([dialVerdict(close)]);
  });

  it("a refused dialer's streams are never seen", async () => {
    await using bench = await Bench.open(setup);
    const listener = await bench.listen({ authorize: () => ({ kind: "refuse", reason: "revoked" }) });
    const dialing = bench.dial(listener.address);
    const asked = dialing.then((client) => ask(client, Uint8Array.of(1)));
    const [close, answer] = await Promise.all([refusalOf(dialing), transportError(() => asked)]);
    expect(close).toMatchObject({ code: REFUSAL_CODES.revoked });
    expect(answer.code).toBe("CONNECTION_CLOSED");
    expect(listener.stats().accepted).toBe(0);
  });

  it("a judge that throws refuses, and the listener goes on", async () => {
    await using bench = await Bench.open(setup);
    let broken = true;
    const listener = await bench.listen({
      authorize: () => {
        if (broken) throw new Error("the trust index is not loaded");
        return { kind: "accept" };
      },
    });
    expect(dialVerdict(await refusalOf(bench.dial(listener.address)))).toBe("denied");
    broken = false;
    const accepted = nextConnection(listener);
    await bench.dial(listener.address);
    expect((await accepted).peer.spkiSha256).toHaveLength(32);
  });

  it("a dialer judges the listener too", async () => {
    await using bench = await Bench.open(setup);
    const listener = await bench.listen();
    let judged: PeerIdentity | undefined;
    const refused = await transportError(() =>
      bench.dial(listener.address, {
        authorize: (peer) => {
          judged = peer;
          return { kind: "refuse", reason: "unknown" };
        },
      }),
    );
    expect(refused.code).toBe("PEER_REFUSED");
    expect(judged?.spkiSha256).toHaveLength(32);
    const client = await bench.dial(listener.address, { authorize: () => ({ kind: "accept" }) });
    expect(client.peer.spkiSha256).toEqual(judged?.spkiSha256);
  });

  it("refuses a dialer that speaks another protocol", async () => {
    await using bench = await Bench.open(setup);
    const listener = await bench.listen();
    const close = await refusalOf(bench.dial(listener.address, { protocol: "something-else/1" }));
    expect(dialVerdict(close)).toBe("wrong-protocol");
    expect(listener.stats().accepted).toBe(0);
  });

  it("a full listener says busy without judging, and has room again after a close", async () => {
    await using bench = await Bench.open(setup);
    let judged = 0;
    const listener = await bench.listen({
      limits: { maxConnections: 1 },
      authorize: () => {
        judged++;
        return { kind: "accept" };
      },
    });
    const accepted = nextConnection(listener);
    const first = await bench.dial(listener.address);
    const serving = echo(await accepted);
    const close = await refusalOf(bench.dial(listener.address, { credentials: bench.under.otherClient }));
    expect(dialVerdict(close)).toBe("busy");
    expect(judged).toBe(1);
    expect(listener.stats().refused["busy"]).toBeGreaterThanOrEqual(1);
    expect(await ask(first, Uint8Array.of(3))).toEqual(Buffer.of(3));
    const next = nextConnection(listener);
    first.close(0);
    await serving;
    // A draining connection may hold its place for a moment: dial until there is room.
    const second = await dialUntilAccepted(bench, listener.address);
    const again = echo(await next);
    expect(await ask(second, Uint8Array.of(4))).toEqual(Buffer.of(4));
    second.close(0);
    await again;
  });
}

async function dialUntilAccepted(bench: Bench, address: { host: string; port: number }) {
  for (;;) {
    try {
      return await bench.dial(address);
    } catch (error) {
      if (!(error instanceof TransportError) || error.close === undefined || dialVerdict(error.close) !== "busy") {
        throw error;
      }
    }
  }
}
