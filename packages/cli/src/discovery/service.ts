/** What a gateway says of itself by mDNS, and how what anybody says by mDNS is read: as a hint, cleaned and bounded, and trusted in nothing. */
import { isIPv4, isIPv6 } from "node:net";
import type { ResponsePacket } from "multicast-dns";
import { isMeshId } from "@quaymesh/identity";
import type { SocketAddress } from "@quaymesh/protocol";
import { printable } from "../ui/format.ts";

/** A DNS record, as the library reads and writes it. */
export type Answer = NonNullable<ResponsePacket["answers"]>[number];

/** DNS-SD name of the service: RFC 6763. */
export const SERVICE = "_quaymesh._udp.local";

/** A gateway on this network, as an announcement has it. Nothing of it is proved: the PIN or the pin of a ticket decides. */
export interface FoundGateway {
  readonly meshId: string;
  /** For people; cleaned. */
  readonly mesh: string;
  /** The mesh endpoint. */
  readonly addresses: readonly SocketAddress[];
  /** The pairing endpoint; empty while no window is open. */
  readonly pairing: readonly SocketAddress[];
}

/** What an announcer says. */
export interface Announced {
  readonly meshId: string;
  readonly mesh: string;
  /** IP addresses that other machines can dial. */
  readonly ips: readonly string[];
  readonly port: number;
  /** Absent while the pairing endpoint is closed. */
  readonly pairingPort?: number;
}

/** Of one announcement. */
const MAX_ADDRESSES = 8;
const MAX_NAME_CHARACTERS = 64;
const MAX_TXT_BYTES = 1024;
const MAX_RECORDS = 64;
const TTL_SECONDS = 120;

/** The records of an announcement, RFC 6763 section 12: what was asked for and all that goes with it, in one packet. `ttl` 0 takes it back. */
export function recordsOf(announced: Announced, ttl: number = TTL_SECONDS): Answer[] {
  const { meshId, mesh, ips, port, pairingPort } = announced;
  const instance = `${meshId}.${SERVICE}`;
  const host = `${meshId}.local`;
  const text = ["v=1", `mesh=${meshId}`, `name=${mesh}`];
  if (pairingPort !== undefined) text.push(`pair=${pairingPort}`);
  return [
    { name: SERVICE, type: "PTR", ttl, data: instance },
    { name: instance, type: "SRV", ttl, data: { port, target: host } },
    { name: instance, type: "TXT", ttl, data: text.map((entry) => Buffer.from(entry)) },
    ...ips
      .slice(0, MAX_ADDRESSES)
      .map((ip): Answer => ({ name: host, type: isIPv6(ip) ? "AAAA" : "A", ttl, data: ip })),
  ];
}

/**
 * Read an announcement: one gateway, from the records of one packet. Names, texts and addresses are whatever their sender liked.
 * @returns `undefined` for what is no announcement, takes one back, or goes beyond any bound
 */
export function parseAnnouncement(records: readonly Answer[]): FoundGateway | undefined {
  if (records.length > MAX_RECORDS) return undefined;
  const service = records.find((record) => record.type === "SRV" && record.name.endsWith(`.${SERVICE}`));
  if (service?.type !== "SRV" || service.ttl === 0) return undefined;
  const text = records.find((record) => record.type === "TXT" && record.name === service.name);
  const facts = text?.type === "TXT" ? factsOf(text.data) : undefined;
  const meshId = facts?.get("mesh") ?? "";
  if (facts?.get("v") !== "1" || !isMeshId(meshId)) return undefined;
  const { target, port } = service.data;
  const ips = records.flatMap((record) =>
    (record.type === "A" || record.type === "AAAA") && record.name === target && isDialable(record.data)
      ? [record.data]
      : [],
  );
  const hosts = [...new Set(ips)].slice(0, MAX_ADDRESSES);
  const pairingPort = Number(facts.get("pair") ?? "0");
  if (hosts.length === 0 || !isPort(port)) return undefined;
  return {
    meshId,
    mesh: printable(facts.get("name") ?? "")
      .slice(0, MAX_NAME_CHARACTERS)
      .toWellFormed()
      .trim(),
    addresses: hosts.map((host) => ({ host, port })),
    pairing: isPort(pairingPort) ? hosts.map((host) => ({ host, port: pairingPort })) : [],
  };
}

/** `key=value` entries, the first of each key (RFC 6763 section 6.4). */
function factsOf(data: unknown): ReadonlyMap<string, string> | undefined {
  const entries: readonly unknown[] = Array.isArray(data) ? data : [data];
  const facts = new Map<string, string>();
  let bytes = 0;
  for (const entry of entries) {
    if (!(entry instanceof Uint8Array)) continue;
    bytes += entry.length;
    if (bytes > MAX_TXT_BYTES) return undefined;
    const [key = "", ...rest] = Buffer.from(entry).toString("utf8").split("=");
    if (!facts.has(key)) facts.set(key, rest.join("="));
  }
  return facts;
}

const isPort = (port: unknown): port is number =>
  typeof port === "number" && Number.isInteger(port) && port >= 1 && port <= 65_535;

/** One machine's address: no name, nobody's, not everybody's, and none whose zone means nothing here. */
function isDialable(ip: unknown): ip is string {
  if (typeof ip !== "string") return false;
  if (isIPv4(ip)) return ip !== "255.255.255.255" && !/^(?:0|22[4-9]|23\d)\./u.test(ip);
  return isIPv6(ip) && ip !== "::" && !/^f(?:f|e[89ab])/iu.test(ip);
}
