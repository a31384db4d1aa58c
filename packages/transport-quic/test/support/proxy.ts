import dgram from "node:dgram";
import { once } from "node:events";

/** What a proxy does to the datagrams that cross it. */
export interface ProxyOptions {
  readonly upstreamPort: number;
  /** Share of datagrams lost in each direction, 0 to 1. */
  readonly loss?: number;
  readonly seed?: number;
}

/** A UDP proxy for one client, between it and a listener on loopback. */
export interface Proxy extends AsyncDisposable {
  readonly port: number;
  readonly dropped: number;
  /** From now on lose this share of datagrams. */
  lose(share: number): void;
  /** From now on the listener sees another source port, as after a NAT rebinding. */
  rebind(): Promise<void>;
  /** From now on datagrams go to another listener. */
  redirect(upstreamPort: number): void;
}

/** mulberry32: a small seeded generator, so that a failing run can be repeated. */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function openSocket(): Promise<dgram.Socket> {
  const socket = dgram.createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  socket.setRecvBufferSize(4 << 20);
  return socket;
}

/** Start a proxy on a free port. */
export async function openProxy(options: ProxyOptions): Promise<Proxy> {
  const random = seededRandom(options.seed ?? 1);
  let loss = options.loss ?? 0;
  let upstreamPort = options.upstreamPort;
  let client: dgram.RemoteInfo | undefined;
  let dropped = 0;
  const isLost = (): boolean => {
    const lost = random() < loss;
    if (lost) dropped += 1;
    return lost;
  };
  const front = await openSocket();
  const openBack = async (): Promise<dgram.Socket> => {
    const socket = await openSocket();
    socket.on("message", (datagram) => {
      if (client !== undefined && !isLost()) front.send(datagram, client.port, client.address);
    });
    return socket;
  };
  const backs = [await openBack()];
  front.on("message", (datagram, from) => {
    client = from;
    if (!isLost()) backs.at(-1)?.send(datagram, upstreamPort, "127.0.0.1");
  });
  return {
    port: front.address().port,
    get dropped() {
      return dropped;
    },
    lose: (share) => {
      loss = share;
    },
    rebind: async () => {
      backs.push(await openBack());
    },
    redirect: (port) => {
      upstreamPort = port;
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of [front, ...backs]) {
        const closed = once(socket, "close");
        socket.close();
        await closed;
      }
    },
  };
}
