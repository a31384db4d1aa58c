import mdns from "multicast-dns";
import { modestSocket } from "./modest-socket.ts";
import { recordsOf, SERVICE, type Announced } from "./service.ts";

/** Between two answers: a flood of questions makes no flood of answers. */
const MIN_INTERVAL_MS = 200;
/** RFC 6762 section 5.5: a packet from another port than 5353 comes from a simple resolver, and is answered to it alone, for a short time. */
const MDNS_PORT = 5353;
const LEGACY_TTL_SECONDS = 10;

const ASKED: ReadonlySet<string> = new Set(["PTR", "ANY"]);

/** Where to announce. */
export interface AnnounceOptions {
  /** The address of the network interface; default: the system's choice. */
  readonly interface?: string;
  /** Default 5353. */
  readonly port?: number;
  /** Told where announcing does not work; nodes then need an address. */
  readonly onTrouble?: (error: Error) => void;
}

/**
 * Answer whoever asks by mDNS for gateways on this network, until it is disposed. Asked anew for each answer, so that an open pairing endpoint shows and a closed one does not.
 */
export function announce(current: () => Announced, options: AnnounceOptions = {}): AsyncDisposable {
  const { port = MDNS_PORT, onTrouble = () => undefined } = options;
  const socket = mdns({
    port,
    socket: modestSocket(),
    bind: "0.0.0.0",
    ...(options.interface !== undefined && { interface: options.interface }),
  });
  let answeredAt = -Infinity;
  socket.on("error", onTrouble);
  socket.on("warning", onTrouble);
  socket.on("query", ({ questions = [] }, from) => {
    const isAsked = questions.some(({ name, type }) => name.toLowerCase() === SERVICE && ASKED.has(type));
    const now = performance.now();
    if (!isAsked || now - answeredAt < MIN_INTERVAL_MS) return;
    answeredAt = now;
    const isSimple = from.port !== port;
    const records = recordsOf(current(), isSimple ? LEGACY_TTL_SECONDS : undefined);
    if (isSimple) socket.respond({ answers: records }, from);
    else socket.respond({ answers: records });
  });
  socket.on("ready", () => socket.respond({ answers: recordsOf(current()) }));
  return {
    async [Symbol.asyncDispose]() {
      await new Promise<void>((resolve) => {
        socket.respond({ answers: recordsOf(current(), 0) }, () => resolve());
      });
      await new Promise<void>((resolve) => {
        socket.destroy(resolve);
      });
    },
  };
}
