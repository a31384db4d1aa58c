/** A device of the mesh that turned bad: it passes TLS, and then does with QUIC what no library of ours would. */
import type dgram from "node:dgram";
import { randomBytes } from "node:crypto";
import type { Credentials } from "@quaymesh/protocol";
import { loadBinding, type NativeConnection } from "../../../packages/transport-quic/src/binding.ts";
import { buildConfig } from "../../../packages/transport-quic/src/config.ts";
import type { Device } from "../../floods/rig/rig.ts";
import { mutateBytes } from "../bytes.ts";
import type { Random } from "../random.ts";
import { openSocket } from "./path.ts";

const LOCAL = { host: "127.0.0.1", port: 1 };
const MAX_STREAMS = 1000;
const MAX_FLIGHT = 512;
const GIVE_UP_MS = 3000;

type Deed = (native: NativeConnection, random: Random, frames: readonly Uint8Array[]) => void;

/** What quiche itself refuses to do is not done. */
const tried = (deed: () => unknown): void => {
  try {
    deed();
  } catch {
    // StreamLimit, InvalidStreamState, FlowControl and the like.
  }
};

const anyStream = (random: Random): number =>
  random.pick([4 * random.below(MAX_STREAMS), random.below(64), 4 * (MAX_STREAMS - 1)]);

const DEEDS: readonly Deed[] = [
  // Bytes that are frames, or nearly, on any stream.
  (native, random, frames) => {
    const bytes = mutateBytes(random, random.pick(frames), random.pick(frames), 1 << 17);
    const id = anyStream(random);
    tried(() => native.streamSend(id, random.chance(0.3) ? random.pick(frames) : bytes, random.chance(0.5)));
  },
  // Every stream at once, with nothing in it.
  (native, random) => {
    for (let index = 0; index < MAX_STREAMS; index += 1) {
      tried(() => native.streamSend(4 * index, new Uint8Array(random.below(2)), random.chance(0.5)));
    }
  },
  // Reset and stop whatever there is.
  (native, random) => {
    for (let index = 0; index < MAX_STREAMS; index += 1) {
      tried(() => native.streamShutdown(4 * index, random.below(2), random.pick([0, 0x40, 2 ** 31, 2 ** 53 - 1])));
    }
  },
  // As much as the windows let through, on few streams.
  (native, random) => {
    const much = new Uint8Array(1 << 20).fill(random.below(256));
    for (let index = 0; index < 8; index += 1) tried(() => native.streamSend(4 * random.below(32), much, false));
  },
  // Streams that are the gateway's to open, and of the kind that nobody may.
  (native, random) => {
    for (const id of [1, 2, 3, 5, 4001, 2 ** 31])
      tried(() => native.streamSend(id, random.bytes(10), random.chance(0.5)));
  },
  (native) => tried(() => native.sendAckEliciting()),
  (native, random) => {
    const reason = random.bytes(random.length(2000));
    tried(() => native.close(random.chance(0.5), random.pick([0, 1, 0x52, 0x128, 2 ** 53 - 1]), reason));
  },
];

/** Connect, misbehave, and leave or be thrown out. @returns how many deeds were done */
export async function misbehave(
  device: Device,
  port: number,
  random: Random,
  frames: readonly Uint8Array[],
): Promise<number> {
  const native = await connect(device.credentials, device.dial, port);
  const socket = await openSocket();
  const talk = new Talk(native, socket, port);
  let deeds = 0;
  try {
    if (!(await talk.until(() => native.isEstablished()))) return 0;
    for (let left = 1 + random.below(12); left > 0 && !native.isClosed() && !native.isDraining(); left -= 1) {
      random.pick(DEEDS)(native, random, frames);
      deeds += 1;
      await talk.turn();
    }
    tried(() => native.close(true, 0, new Uint8Array(0)));
    talk.send();
    return deeds;
  } finally {
    socket.close();
  }
}

async function connect(credentials: Credentials, dial: Device["dial"], port: number): Promise<NativeConnection> {
  const binding = await loadBinding();
  const config = buildConfig(binding, {
    protocol: dial.protocol,
    credentials,
    trust: dial.trust,
    idleTimeoutMs: 30_000,
    maxStreams: MAX_STREAMS,
    datagramBytes: 1350,
    streamWindowBytes: 1 << 16,
    connectionWindowBytes: 1 << 17,
  });
  return binding.Connection.connect(dial.serverName, randomBytes(20), LOCAL, { host: "127.0.0.1", port }, config);
}

/** Moves datagrams between quiche and a socket. */
class Talk {
  readonly #native: NativeConnection;
  readonly #socket: dgram.Socket;
  readonly #port: number;
  readonly #slot = Buffer.alloc(1350);
  #heard = Promise.withResolvers<void>();

  constructor(native: NativeConnection, socket: dgram.Socket, port: number) {
    this.#native = native;
    this.#socket = socket;
    this.#port = port;
    socket.on("message", (datagram) => {
      tried(() => native.recv(datagram, { from: { host: "127.0.0.1", port }, to: LOCAL }));
      this.#heard.resolve();
      this.#heard = Promise.withResolvers();
    });
  }

  send(): void {
    // A window is far less; what quiche would send for ever is not sent for ever.
    for (let left = MAX_FLIGHT; left > 0; left -= 1) {
      const sent = this.#native.send(this.#slot);
      if (sent === null) return;
      this.#socket.send(Buffer.from(this.#slot.subarray(0, sent[0])), this.#port, "127.0.0.1", () => undefined);
    }
  }

  /** Send, and hear something or wait a moment. */
  async turn(): Promise<void> {
    this.send();
    const timer = Promise.withResolvers<void>();
    const timeout = setTimeout(timer.resolve, Math.min(20, this.#native.timeout() ?? 20) + 1);
    await Promise.race([this.#heard.promise, timer.promise]);
    clearTimeout(timeout);
    if (this.#native.timeout() === 0) this.#native.onTimeout();
    this.send();
  }

  async until(isSo: () => boolean): Promise<boolean> {
    const giveUpAt = performance.now() + GIVE_UP_MS;
    while (!isSo()) {
      if (this.#native.isClosed() || performance.now() > giveUpAt) return false;
      await this.turn();
    }
    return true;
  }
}
