/** A real gateway in a process of its own, which measures itself. Told what to do over IPC, and ends with its parent. */
import { Gateway } from "@quaymesh/gateway";
import type { Listener, ListenLimits, Transport } from "@quaymesh/protocol";
import { createQuicTransport, FAULTS, type QuicTransportOptions } from "@quaymesh/transport-quic";
import { TurnMeter } from "./turn-meter.ts";

/** What the child is started with. */
export interface ChildSetup {
  readonly state: string;
  readonly host: string;
  readonly transport: QuicTransportOptions;
  readonly limits: Partial<ListenLimits>;
}

/** What the gateway says of itself. Times in milliseconds of CPU. */
export interface Sample {
  readonly kind: "sample";
  readonly cpuMs: number;
  /** After a collection, where one was asked for. */
  readonly rssBytes: number;
  /** The most it ever was, collected or not. */
  readonly peakRssBytes: number;
  /** The longest turn of the event loop since the last sample, in CPU time of its thread. */
  readonly longestTurnMs: number;
  /** Datagrams that came in in that turn. */
  readonly longestTurnDatagrams: number;
  readonly connections: number;
  readonly refused: Readonly<Record<string, number>>;
  readonly datagramsReceived: number;
  readonly datagramsSent: number;
  /** Faults that the transport survived and reported. */
  readonly faults: readonly string[];
}

/** What the child says first. */
export interface Ready {
  readonly kind: "ready";
  readonly meshId: string;
  readonly port: number;
}

const setup: ChildSetup = JSON.parse(process.argv[2] ?? "");
const faults: string[] = [];
let listener: Listener | undefined;

FAULTS.subscribe((message) => {
  const error: unknown = typeof message === "object" && message !== null ? Reflect.get(message, "error") : message;
  faults.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
});

const quic = createQuicTransport(setup.transport);
const transport: Transport = {
  dial: (address, options) => quic.dial(address, options),
  async listen(options) {
    listener = await quic.listen(options);
    return listener;
  },
};

const gateway = await Gateway.open({
  transport,
  state: setup.state,
  listen: { host: setup.host, port: 0 },
  transportLimits: setup.limits,
  pairing: {
    childModule: new URL("pairing-child.ts", import.meta.url),
    listen: { host: setup.host, port: 0 },
  },
});
const meter = new TurnMeter(() => listener?.stats().datagramsReceived ?? 0);

function sample(collects: boolean): Sample {
  if (collects) globalThis.gc?.();
  const stats = listener?.stats();
  const { user, system } = process.cpuUsage();
  return {
    kind: "sample",
    cpuMs: (user + system) / 1000,
    rssBytes: process.memoryUsage.rss(),
    // Kilobytes.
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    ...meter.take(),
    connections: stats?.connections ?? 0,
    refused: stats?.refused ?? {},
    datagramsReceived: stats?.datagramsReceived ?? 0,
    datagramsSent: stats?.datagramsSent ?? 0,
    faults: faults.splice(0),
  };
}

process.on("message", (question) => process.send?.(sample(question === "collect")));
process.once("disconnect", () => void gateway.stop());
const port = Number(gateway.addresses[0]?.split(":").at(-1));
process.send?.({ kind: "ready", meshId: gateway.meshId, port } satisfies Ready);
