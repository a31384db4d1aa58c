/** What a flood is told, and what it tells. */

/**
 * What strangers do. `half-open`: first flights that never continue, answers unread, so that addresses may be forged. `half-open-validated`: the same by those who answer a Retry first, so that
 * addresses are theirs. `crumbs`: the same, and then a crumb every second. `handshakes`: whole ones with a certificate of nobody's. `token-replay`: one Retry token again and again, from
 * its owner's address and from others. `reflection`: other versions, short headers and Initials, for the answers.
 */
const FLOOD_KINDS = ["half-open", "half-open-validated", "crumbs", "handshakes", "token-replay", "reflection"] as const;

/** One of {@link FLOOD_KINDS}. */
export type FloodKind = (typeof FLOOD_KINDS)[number];

/** What the flooder is started with. */
export interface FloodSetup {
  readonly kind: FloodKind;
  readonly host: string;
  readonly port: number;
  readonly serverName: string;
  /** New attempts a second. */
  readonly perSecond: number;
  /** At most so many attempts in all. */
  readonly total: number;
  /** Addresses to send from. */
  readonly sources: readonly string[];
}

/** What it sent and heard. */
export interface FloodReport {
  readonly attempts: number;
  /** Retry tokens sent again after their first use. */
  readonly replays: number;
  readonly crumbs: number;
  readonly datagramsSent: number;
  readonly bytesSent: number;
  readonly datagramsHeard: number;
  readonly bytesHeard: number;
}

/** Read what the flooder was started with. @throws {TypeError} for anything but a {@link FloodSetup} */
export function parseSetup(text: string): FloodSetup {
  const fields: unknown = JSON.parse(text);
  const field = (name: keyof FloodSetup): unknown =>
    typeof fields === "object" && fields !== null ? Reflect.get(fields, name) : undefined;
  const named = field("kind");
  const kind = FLOOD_KINDS.find((known) => known === named);
  if (kind === undefined) throw new TypeError(`no flood of the kind ${String(named)}`);
  const sources = field("sources");
  if (!Array.isArray(sources) || sources.length === 0) throw new TypeError("a flood needs an address to come from");
  return {
    kind,
    host: textOf(field("host")),
    serverName: textOf(field("serverName")),
    port: numberOf(field("port")),
    perSecond: numberOf(field("perSecond")),
    total: numberOf(field("total")),
    sources: sources.map((source: unknown) => textOf(source)),
  };
}

function textOf(value: unknown): string {
  if (typeof value !== "string") throw new TypeError(`not a text: ${String(value)}`);
  return value;
}

function numberOf(value: unknown): number {
  if (typeof value !== "number") throw new TypeError(`not a number: ${String(value)}`);
  return value;
}
