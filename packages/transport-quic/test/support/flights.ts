import dgram from "node:dgram";
import { once } from "node:events";

/** One datagram that crossed a {@link FlightRecorder}. */
interface CrossedDatagram {
  readonly direction: "up" | "down";
  readonly bytes: Buffer;
}

/** A UDP forwarder that changes nothing and keeps what crossed it, in order. One dialer at a time. */
export interface FlightRecorder extends AsyncDisposable {
  readonly port: number;
  readonly crossed: readonly CrossedDatagram[];
  /** Times that the direction turned back to the dialer: what it knows then took as many round trips. */
  roundTrips(): number;
}

/** Forward to `upstreamPort` on loopback. */
export async function recordFlights(upstreamPort: number): Promise<FlightRecorder> {
  const front = dgram.createSocket("udp4");
  const back = dgram.createSocket("udp4");
  const crossed: CrossedDatagram[] = [];
  let dialer: dgram.RemoteInfo | undefined;
  front.on("message", (bytes, from) => {
    dialer = from;
    crossed.push({ direction: "up", bytes });
    back.send(bytes, upstreamPort, "127.0.0.1");
  });
  back.on("message", (bytes) => {
    crossed.push({ direction: "down", bytes });
    if (dialer !== undefined) front.send(bytes, dialer.port, dialer.address);
  });
  for (const socket of [front, back]) {
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
  }
  return {
    port: front.address().port,
    crossed,
    roundTrips: () =>
      crossed.filter(({ direction }, at) => direction === "down" && crossed[at - 1]?.direction === "up").length,
    [Symbol.asyncDispose]: async () => {
      for (const socket of [front, back]) {
        const closed = once(socket, "close");
        socket.close();
        await closed;
      }
    },
  };
}
