import dgram from "node:dgram";
import { once } from "node:events";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { probePath } from "@quaymesh/transport-quic";
import { versionNegotiation } from "../src/datagram-shape.ts";
import { versionsOf } from "../src/probe.ts";
import { openMesh } from "./support/mesh.ts";

const once1200 = { bytes: 1200, timeoutMs: 30_000 };

/** A UDP port of loopback that somebody else has; `answer` is what it says to each datagram. */
async function otherService(answer?: (datagram: Buffer) => Buffer) {
  const socket = dgram.createSocket("udp4");
  let heard = 0;
  socket.on("message", (datagram, from) => {
    heard += 1;
    if (answer !== undefined) socket.send(answer(datagram), from.port, from.address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  return {
    address: { host: "127.0.0.1", port },
    heard: () => heard,
    [Symbol.asyncDispose]: async () => {
      socket.close();
      await once(socket, "close");
    },
  };
}

describe("a probe", () => {
  test.each(["127.0.0.1", "::1"])("is answered by a listener on %s, at no cost but a count", async (host) => {
    await using mesh = await openMesh({ host });
    for (const bytes of [1200, 1350, 8000]) {
      const answer = await probePath(mesh.listener.address, { bytes, timeoutMs: 30_000 });
      expect(answer).toMatchObject({ kind: "answered" });
    }
    const { refused, connections, accepted } = mesh.listener.stats();
    expect({ refused, connections, accepted }).toEqual({ refused: { version: 3 }, connections: 0, accepted: 0 });
  });

  test("tells a port where nothing listens from one where nobody answers, and from one with another service", async () => {
    let closed: { host: string; port: number };
    {
      await using gone = await otherService();
      closed = gone.address;
    }
    expect(await probePath(closed, once1200)).toEqual({ kind: "refused" });
    await using mute = await otherService();
    expect(await probePath(mute.address, { bytes: 1200, timeoutMs: 200 })).toEqual({ kind: "silent" });
    // Lost datagrams are sent again.
    expect(mute.heard()).toBeGreaterThan(1);
    await using echo = await otherService((datagram) => datagram);
    expect(await probePath(echo.address, once1200)).toEqual({ kind: "foreign" });
  });

  test("says that it is too long, where the way begins with less", async () => {
    await using mesh = await openMesh();
    expect(await probePath(mesh.listener.address, { bytes: 65_507 + 1, timeoutMs: 30_000 })).toEqual({
      kind: "too-long",
    });
  });

  test("ends with its signal", async () => {
    await using mute = await otherService();
    const over = new AbortController();
    const probing = probePath(mute.address, { bytes: 1200, timeoutMs: 60_000, signal: over.signal });
    over.abort(new Error("enough"));
    await expect(probing).rejects.toThrow("enough");
  });

  test("takes no answer to another question, and no noise, for its own", () => {
    const [to, from] = [Buffer.alloc(8, 1), Buffer.alloc(8, 2)];
    expect(versionsOf(versionNegotiation(from, to), { to, from })).toContain(1);
    expect(versionsOf(versionNegotiation(to, from), { to, from })).toBeUndefined();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        expect(versionsOf(Buffer.from(bytes), { to, from })).toBeUndefined();
      }),
    );
  });
});
