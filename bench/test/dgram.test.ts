import { createSocket, type RemoteInfo } from "node:dgram";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { BULK_CHUNK } from "../src/transport/payload.ts";
import { dgram } from "../src/transport/systems/dgram.ts";

const tls = { keyPem: "", chainPem: "", rootPem: "", serverName: "" };
const CHUNKS = 200;

/** A way to `port` that loses one in `oneIn` of the datagrams that carry data. */
async function lossyWay(port: number, oneIn: number) {
  const way = createSocket("udp4");
  way.bind(0, "127.0.0.1");
  await once(way, "listening");
  way.setRecvBufferSize(4 << 20);
  way.setSendBufferSize(4 << 20);
  let sender = 0;
  let seen = 0;
  let lost = 0;
  way.on("message", (datagram: Buffer, from: RemoteInfo) => {
    if (from.port === port) return way.send(datagram, sender, "127.0.0.1");
    sender = from.port;
    if (datagram.length > 0 && ++seen % oneIn === 0) {
      lost++;
      return;
    }
    way.send(datagram, port, "127.0.0.1");
  });
  return {
    port: way.address().port,
    lost: () => lost,
    async [Symbol.asyncDispose]() {
      const closed = once(way, "close");
      way.close();
      await closed;
    },
  };
}

async function send(ports: { readonly default: number; readonly "1350": number }): Promise<number[]> {
  await using client = await dgram.dialer({ tls, ports, devices: null })("1350")();
  const counts: number[] = [];
  for (let stream = 0; stream < 2; stream++) {
    const sink = await client.openBulk();
    for (let chunk = 0; chunk < CHUNKS; chunk++) await sink.write(BULK_CHUNK);
    counts.push(await sink.finish());
  }
  return counts;
}

describe("the limit of node:dgram", () => {
  const all = CHUNKS * BULK_CHUNK.length;

  it("counts what arrived, stream by stream", async () => {
    await using server = await dgram.serve({ tls, state: null });
    expect(await send(server.ports)).toEqual([all, all]);
  });

  it("counts nothing that was lost on the way, and sends it again", async () => {
    await using server = await dgram.serve({ tls, state: null });
    await using way = await lossyWay(server.ports["1350"], 1000);
    expect(await send({ default: way.port, "1350": way.port })).toEqual([all, all]);
    expect(way.lost()).toBeGreaterThan(10);
  });
});
