/** A UDP proxy on loopback: the network between dialers and a listener, as bad as a test wants it. */
import dgram from "node:dgram";
import { once } from "node:events";
import { Departures } from "./departures.ts";
import { seededRandom } from "./random.ts";
import { Sky, type Weather, type WeatherCounts } from "./weather.ts";

/** `up`: from the dialer to the listener. */
type Direction = "up" | "down";

/** What a proxy does to the datagrams that cross it. */
export interface ProxyOptions {
  readonly upstreamPort: number;
  /** Of both directions, at first. */
  readonly weather?: Weather;
  /** Default 1. */
  readonly seed?: number;
  /** Sees each datagram as it was sent, of both directions. */
  readonly onDatagram?: (datagram: Uint8Array, direction: Direction) => void;
}

/** How {@link Proxy.rebind} changes the dialers' address. */
export interface RebindOptions {
  /** The listener sees this source address from now on, of 127.0.0.0/8. Default 127.0.0.1. */
  readonly host?: string;
  /** `heard`: what is sent to the address they left still arrives. `dead`: it vanishes. Default `heard`. */
  readonly left?: "heard" | "dead";
}

/** A UDP proxy between dialers and a listener on loopback; each dialer has an address of its own at the listener. */
export interface Proxy extends AsyncDisposable {
  readonly port: number;
  /** Datagrams of both directions that did not arrive. */
  readonly dropped: number;
  counts(direction: Direction): Readonly<WeatherCounts>;
  /** From now on. @param direction default both */
  change(weather: Weather, direction?: Direction): void;
  /** From now on lose this share of datagrams, and do nothing else to them. */
  lose(share: number): void;
  /** From now on the listener sees every dialer at another port, as after a NAT rebinding. */
  rebind(options?: RebindOptions): Promise<void>;
  /** From now on datagrams go to another listener. */
  redirect(upstreamPort: number): void;
}

const LOOPBACK = "127.0.0.1";
const SOCKET_BUFFER_BYTES = 4 << 20;
/** Beyond it the oldest dialers are forgotten, as by a NAT. */
const MOST_DIALERS = 256;

async function openSocket(host: string): Promise<dgram.Socket> {
  const socket = dgram.createSocket("udp4");
  socket.bind(0, host);
  await once(socket, "listening");
  socket.setRecvBufferSize(SOCKET_BUFFER_BYTES);
  // A port that is gone is refused, and that is nobody's fault here.
  socket.on("error", () => undefined);
  return socket;
}

/** Start a proxy on a free port. */
export async function openProxy(options: ProxyOptions): Promise<Proxy> {
  return new UdpProxy(await openSocket(LOOPBACK), options);
}

/** One dialer, and the socket that stands for it at the listener. `undefined` while that is being opened. */
interface Flow {
  readonly port: number;
  back: dgram.Socket | undefined;
  waiting: Uint8Array[];
}

class UdpProxy implements Proxy {
  readonly #front: dgram.Socket;
  readonly #flows = new Map<number, Flow>();
  readonly #backs = new Set<dgram.Socket>();
  readonly #skies: Readonly<Record<Direction, Sky>>;
  readonly #departures = new Departures();
  readonly #onDatagram: (datagram: Uint8Array, direction: Direction) => void;
  #upstreamPort: number;
  #backHost = LOOPBACK;
  #isClosed = false;

  constructor(front: dgram.Socket, options: ProxyOptions) {
    this.#front = front;
    this.#upstreamPort = options.upstreamPort;
    this.#onDatagram = options.onDatagram ?? (() => undefined);
    const random = seededRandom(options.seed ?? 1);
    const weather = options.weather ?? {};
    this.#skies = { up: new Sky(weather, random), down: new Sky(weather, random) };
    front.on("message", (datagram, from) => {
      this.#pass("up", datagram, (arrived) => this.#toListener(from.port, arrived));
    });
  }

  get port(): number {
    return this.#front.address().port;
  }

  get dropped(): number {
    return this.#skies.up.dropped + this.#skies.down.dropped;
  }

  counts(direction: Direction): Readonly<WeatherCounts> {
    return this.#skies[direction].counts;
  }

  change(weather: Weather, direction?: Direction): void {
    if (direction !== "down") this.#skies.up.change(weather);
    if (direction !== "up") this.#skies.down.change(weather);
  }

  lose(share: number): void {
    this.change({ loss: share });
  }

  redirect(upstreamPort: number): void {
    this.#upstreamPort = upstreamPort;
  }

  async rebind(options: RebindOptions = {}): Promise<void> {
    this.#backHost = options.host ?? LOOPBACK;
    for (const flow of this.#flows.values()) {
      const left = flow.back;
      flow.back = await this.#openBack(flow);
      if (options.left === "dead") left?.removeAllListeners("message");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#departures.cancel();
    for (const socket of [this.#front, ...this.#backs]) {
      const closed = once(socket, "close");
      socket.close();
      await closed;
    }
  }

  #pass(direction: Direction, datagram: Uint8Array, arrive: (datagram: Uint8Array) => void): void {
    this.#onDatagram(datagram, direction);
    for (const arrival of this.#skies[direction].pass(datagram, performance.now())) {
      this.#departures.add(arrival.afterMs, () => {
        if (!this.#isClosed) arrive(arrival.datagram);
      });
    }
  }

  #toListener(dialerPort: number, datagram: Uint8Array): void {
    const flow = this.#flows.get(dialerPort) ?? this.#begin(dialerPort);
    if (flow.back === undefined) flow.waiting.push(datagram);
    else flow.back.send(datagram, this.#upstreamPort, LOOPBACK);
  }

  #begin(port: number): Flow {
    const flow: Flow = { port, back: undefined, waiting: [] };
    this.#flows.set(port, flow);
    const [oldest] = this.#flows.keys();
    if (this.#flows.size > MOST_DIALERS && oldest !== undefined) this.#flows.delete(oldest);
    void this.#openBack(flow).then((back) => {
      if (this.#isClosed) return;
      flow.back = back;
      for (const datagram of flow.waiting.splice(0)) back.send(datagram, this.#upstreamPort, LOOPBACK);
    });
    return flow;
  }

  async #openBack(flow: Flow): Promise<dgram.Socket> {
    const socket = await openSocket(this.#backHost);
    if (this.#isClosed) {
      socket.close();
      return socket;
    }
    this.#backs.add(socket);
    socket.on("message", (datagram) => {
      this.#pass("down", datagram, (arrived) => this.#front.send(arrived, flow.port, LOOPBACK));
    });
    return socket;
  }
}
