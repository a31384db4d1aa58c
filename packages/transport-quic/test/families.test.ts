import dgram from "node:dgram";
import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { RetryTokens } from "../src/retry-token.ts";
import { StatelessResets } from "../src/stateless-reset.ts";
import { CONNECTION_ID_BYTES } from "../src/datagram-shape.ts";
import { ask, openMesh, serveEchoOnAll } from "./support/mesh.ts";

/** Where a gateway listens, and where its nodes are. */
const PLACES = [
  { name: "IPv4", host: "127.0.0.1", dialHost: "127.0.0.1" },
  { name: "IPv6", host: "::1", dialHost: "::1" },
  { name: "IPv4 on a socket for both", host: "::", dialHost: "127.0.0.1" },
  { name: "IPv6 on a socket for both", host: "::", dialHost: "::1" },
] as const;

describe.each(PLACES)("over $name", ({ host, dialHost }) => {
  test("an address is validated by a Retry, and its token opens the door", async () => {
    await using mesh = await openMesh({ host, transport: { retry: "always" } });
    const serving = serveEchoOnAll(mesh.listener);
    const node = await mesh.dial({ host: dialHost });
    expect(await ask(node, Buffer.from("hi"))).toHaveLength(2);
    expect(mesh.listener.stats()).toMatchObject({ accepted: 1, refused: { retry: 1 } });
    expect(mesh.listener.stats().refused["token"] ?? 0).toBe(0);
    await mesh.listener.close();
    await serving;
  });

  test("a datagram of a connection that is not known any more is answered with its stateless reset", async () => {
    const resetSecret = Buffer.alloc(32, 9);
    await using mesh = await openMesh({ host, resetSecret });
    const socket = dgram.createSocket(dialHost.includes(":") ? "udp6" : "udp4");
    const id = Buffer.alloc(CONNECTION_ID_BYTES, 5);
    socket.send(Buffer.concat([Buffer.of(0x40), id, Buffer.alloc(30, 1)]), mesh.listener.address.port, dialHost);
    const [reset, from] = (await once(socket, "message")) as [Buffer, dgram.RemoteInfo];
    socket.close();
    expect(from).toMatchObject({ address: dialHost, port: mesh.listener.address.port });
    // The peer knows it by these last 16 bytes, which the next start of the same gateway makes again.
    const token = new StatelessResets(resetSecret, 0).tokenOf(id).toString(16).padStart(32, "0");
    expect(reset.subarray(-16).toString("hex")).toBe(token);
  });

  test("a node whose gateway was replaced hears so at once", async () => {
    const resetSecret = Buffer.alloc(32, 9);
    const first = await openMesh({ host, resetSecret });
    const { port } = first.listener.address;
    // Between the two, so that the gateway can vanish without a word.
    const middle = dgram.createSocket(dialHost.includes(":") ? "udp6" : "udp4");
    middle.bind(0, dialHost);
    await once(middle, "listening");
    let upstream: number = port;
    let client: dgram.RemoteInfo | undefined;
    middle.on("message", (datagram, source) => {
      if (source.port === upstream) {
        if (client !== undefined) middle.send(datagram, client.port, client.address);
      } else if (source.port !== port) {
        client = source;
        middle.send(datagram, upstream, dialHost);
      }
    });
    const serving = serveEchoOnAll(first.listener);
    const node = await first.dial({ host: dialHost, port: middle.address().port, idleTimeoutMs: 20_000 });
    expect(await ask(node, Buffer.from("hi"))).toHaveLength(2);
    await using next = await openMesh({ host, resetSecret });
    upstream = next.listener.address.port;
    const stream = await node.openStream();
    await stream.write(Buffer.from("anyone?"));
    expect(await node.closed).toMatchObject({ kind: "transport", reason: "stateless reset", byPeer: true });
    await first[Symbol.asyncDispose]();
    await serving;
    middle.close();
  });
});

test("a Retry token is of one address alone, whatever its family", () => {
  const tokens = new RetryTokens();
  const retryId = Buffer.alloc(20, 1);
  const dcid = Buffer.alloc(8, 2);
  const addresses = ["192.0.2.1", "::ffff:192.0.2.2", "2001:db8::1", "2001:db8::2", "fe80:1::1", "fe80:2::1"];
  for (const address of addresses) {
    const token = tokens.issue(dcid, { address, port: 1, retryId }, 0);
    for (const other of addresses) {
      const opened = tokens.open(token, { address: other, port: 1, retryId }, 1);
      expect(opened !== undefined, `${address} shown by ${other}`).toBe(other === address);
    }
  }
});
