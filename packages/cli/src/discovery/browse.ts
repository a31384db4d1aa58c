import { once } from "node:events";
import { networkInterfaces } from "node:os";
import mdns from "multicast-dns";
import type { SocketAddress } from "@quaymesh/protocol";
import { formatAddress } from "../address.ts";
import { modestSocket } from "./modest-socket.ts";
import { parseAnnouncement, SERVICE, type FoundGateway } from "./service.ts";

const MDNS_PORT = 5353;
const QUESTION_MS = 500;
const DEFAULT_MS = 2000;
/** What a person can choose from; whoever floods the network with names gets no more of the screen. */
const MAX_FOUND = 16;
/** Packets that are looked at; beyond it the network is being flooded, and what was found by then has to do. */
const MAX_PACKETS = 1000;

/** Options of {@link browse}. */
export interface BrowseOptions {
  readonly timeoutMs?: number;
  /** Addresses of the network interfaces to ask on. Default: all IPv4 ones of this machine but loopback. */
  readonly interfaces?: readonly string[];
  /** Default 5353. */
  readonly port?: number;
  /** Enough is found. */
  readonly until?: (found: FoundGateway) => boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Ask this network for gateways: a one-shot question (RFC 6762 section 5.1) on each interface, from ports of its own, so nothing else that speaks mDNS here is in the way.
 * @returns what was announced, in the order of arrival, each once, {@link MAX_FOUND} at most; nothing of it is trusted
 * @throws rethrows `signal.reason`
 */
export async function browse(options: BrowseOptions = {}): Promise<readonly FoundGateway[]> {
  const { timeoutMs = DEFAULT_MS, port = MDNS_PORT, interfaces = ownInterfaces(), until, signal } = options;
  signal?.throwIfAborted();
  const found = new Map<string, FoundGateway>();
  const enough = Promise.withResolvers<void>();
  let packets = 0;
  const heard = (records: Parameters<typeof parseAnnouncement>[0]): void => {
    packets += 1;
    if (packets > MAX_PACKETS || found.size >= MAX_FOUND) return enough.resolve();
    const gateway = parseAnnouncement(records);
    if (gateway === undefined) return;
    found.set(keyOf(gateway), gateway);
    if (until?.(gateway) === true) enough.resolve();
  };
  const onAbort = (): void => enough.reject(signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  // It may be aborted before anybody waits.
  enough.promise.catch(() => undefined);
  const timer = setTimeout(() => enough.resolve(), timeoutMs);
  try {
    await using asking = new AsyncDisposableStack();
    for (const address of interfaces) {
      const ask = await openQuestion(address, port, heard).catch(() => undefined);
      if (ask !== undefined) asking.use(ask);
    }
    await enough.promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
  return [...found.values()];
}

/** Ask on one interface, again each {@link QUESTION_MS}, until disposed. Rejects where the interface takes no multicast. */
async function openQuestion(
  address: string,
  port: number,
  heard: (records: Parameters<typeof parseAnnouncement>[0]) => void,
): Promise<AsyncDisposable> {
  const socket = modestSocket();
  try {
    socket.bind(0, address);
    await once(socket, "listening");
    socket.setMulticastInterface(address);
  } catch (cause) {
    socket.close();
    throw cause;
  }
  const asker = mdns({ socket, bind: false as unknown as string, multicast: false, port });
  // What cannot be read, or sent, is nobody's announcement.
  asker.on("warning", () => undefined);
  asker.on("error", () => undefined);
  asker.on("response", ({ answers = [], additionals = [] }) => heard([...answers, ...additionals]));
  const ask = (): void => asker.query({ questions: [{ name: SERVICE, type: "PTR" }] });
  ask();
  const again = setInterval(ask, QUESTION_MS);
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(again);
      await new Promise<void>((resolve) => {
        asker.destroy(resolve);
      });
    },
  };
}

const keyOf = ({ meshId, mesh, addresses, pairing }: FoundGateway): string =>
  JSON.stringify([meshId, mesh, addresses.map(formatAddress), pairing.map(formatAddress)]);

function ownInterfaces(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((each) =>
    (each ?? []).filter(({ family, internal }) => family === "IPv4" && !internal).map(({ address }) => address),
  );
}

/** Addresses of the mesh endpoint of one mesh, as announced, for a node whose gateway moved on this network. @throws rethrows `signal.reason` */
export async function findMesh(meshId: string, options: BrowseOptions = {}): Promise<readonly SocketAddress[]> {
  const isIt = (found: FoundGateway): boolean => found.meshId === meshId;
  const found = await browse({ ...options, until: isIt });
  return found.filter(isIt).flatMap(({ addresses }) => addresses);
}

/** Addresses of the pairing endpoint of one mesh, as announced: more places to look for a gateway whose root is known already. @throws rethrows `signal.reason` */
export async function findPairing(meshId: string, options: BrowseOptions = {}): Promise<readonly SocketAddress[]> {
  const isIt = (found: FoundGateway): boolean => found.meshId === meshId && found.pairing.length > 0;
  const found = await browse({ ...options, until: isIt });
  return found.filter(isIt).flatMap(({ pairing }) => pairing);
}
