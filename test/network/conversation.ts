import { createHash, randomBytes } from "node:crypto";
import type { Connection } from "@quaymesh/protocol";
import { openMesh, serveEcho, accept, ask } from "../../packages/transport-quic/test/support/mesh.ts";
import type { Mesh, MeshOptions } from "../../packages/transport-quic/test/support/mesh.ts";
import { openProxy, type Proxy } from "./proxy.ts";
import { testSeed } from "./random.ts";

/** Two ends of one connection, and the network between them. Both ends echo every stream. */
export interface Pair extends AsyncDisposable {
  readonly mesh: Mesh;
  readonly proxy: Proxy;
  readonly node: Connection;
  readonly gateway: Connection;
}

/** Connect over a proxy that lets everything pass at first. Datagrams are as short as off the machine. */
export async function openPair(options: MeshOptions = {}): Promise<Pair> {
  const mesh = await openMesh({
    transport: { datagramBytes: 1350 },
    // The gateway may be the only one to open streams.
    limits: { firstByteTimeoutMs: 60_000 },
    ...options,
  });
  const proxy = await openProxy({ upstreamPort: mesh.listener.address.port, seed: testSeed() });
  const accepted = accept(mesh.listener);
  const node = await mesh.dial({ port: proxy.port });
  const gateway = await accepted;
  const serving = [serveEcho(node), serveEcho(gateway)];
  return {
    mesh,
    proxy,
    node,
    gateway,
    [Symbol.asyncDispose]: async () => {
      await mesh[Symbol.asyncDispose]();
      await Promise.all(serving);
      await proxy[Symbol.asyncDispose]();
    },
  };
}

/** How much is said. */
export interface Topics {
  /** Streams of up to 2000 bytes, opened by each end. */
  readonly smallStreams: number;
  /** Of one stream opened by each end. */
  readonly bulkBytes: number;
}

/** How many small streams an end has open at once. */
const LANES = 8;

/** Both ends talk at once, and each hears its own words back. @throws where a byte is wrong or missing */
export async function converse({ node, gateway }: Pick<Pair, "node" | "gateway">, topics: Topics): Promise<void> {
  const talking = [node, gateway].map((end) => echoBulk(end, randomBytes(topics.bulkBytes)));
  for (let lane = 0; lane < LANES; lane += 1) {
    for (const end of [node, gateway]) talking.push(echoSmall(end, topics.smallStreams / LANES, lane));
  }
  await Promise.all(talking);
}

async function echoSmall(end: Connection, streams: number, lane: number): Promise<void> {
  for (let index = 0; index < streams; index += 1) {
    const bytes = Buffer.alloc(1 + ((index * 131 + lane) % 2000), `${lane}/${index} `);
    const echo = await ask(end, bytes);
    if (Buffer.compare(echo, bytes) !== 0) throw new Error(`stream ${index} of lane ${lane} came back changed`);
  }
}

/** Send on a stream of its own, and compare what comes back. @param onBytes told how much has come back so far; what it returns is awaited */
export async function echoBulk(
  end: Connection,
  bytes: Uint8Array,
  onBytes?: (bytes: number) => Promise<void> | undefined,
): Promise<void> {
  const stream = await end.openStream();
  const sending = stream.end(bytes);
  const digest = createHash("sha256");
  let length = 0;
  for await (const chunk of stream) {
    digest.update(chunk);
    length += chunk.length;
    await onBytes?.(length);
  }
  await sending;
  const expected = createHash("sha256").update(bytes).digest("hex");
  if (digest.digest("hex") !== expected) throw new Error(`${bytes.length} bytes came back as ${length}, or changed`);
}
