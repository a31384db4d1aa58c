/** The floods that are tried, what they are made of, and what shows that they arrive. */
import type { ListenerRefusal } from "@quaymesh/protocol";
import { loopbackSources } from "./flood.ts";
import type { FloodKind, FloodReport, FloodSetup } from "./flood-setup.ts";

/** A flood by name. */
export interface Scenario {
  readonly name: string;
  readonly kind: FloodKind;
  /** New attempts a second. */
  readonly perSecond: number;
  readonly total: number;
  readonly sources: readonly string[];
  /** What the gateway counts when this flood reaches what it is meant to reach. */
  readonly hits: readonly ListenerRefusal[];
  /** What the flooder itself counts then. */
  readonly does: readonly (keyof FloodReport)[];
}

const EVER = 1_000_000_000;
const MANY = loopbackSources(250);

/** Floods over loopback, whose addresses have no budget: each is worse than the same from outside. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: "half-open handshakes, forged addresses in 250 prefixes",
    kind: "half-open",
    perSecond: 1000,
    total: EVER,
    sources: MANY,
    // Past so many that are half open, the others are to prove their address, and never do.
    hits: ["retry"],
    does: [],
  },
  {
    name: "half-open handshakes, one address",
    kind: "half-open",
    perSecond: 1000,
    total: EVER,
    sources: ["127.0.0.1"],
    hits: ["retry"],
    does: [],
  },
  {
    name: "half-open handshakes, proved addresses in 250 prefixes",
    kind: "half-open-validated",
    perSecond: 500,
    total: EVER,
    sources: MANY,
    // Only who proved an address gets as far as taking somebody's place.
    hits: ["retry", "displaced"],
    does: [],
  },
  {
    name: "1000 strangers who send crumbs",
    kind: "crumbs",
    perSecond: 500,
    total: 1000,
    sources: MANY,
    hits: ["retry", "displaced"],
    does: ["crumbs"],
  },
  {
    name: "whole handshakes without a certificate of the mesh",
    kind: "handshakes",
    perSecond: 300,
    total: EVER,
    sources: MANY,
    hits: ["untrusted"],
    does: [],
  },
  {
    name: "Retry tokens replayed",
    kind: "token-replay",
    perSecond: 1000,
    total: EVER,
    sources: MANY,
    hits: ["retry", "token"],
    does: ["replays"],
  },
  {
    name: "questions for the sake of their answers",
    kind: "reflection",
    perSecond: 4000,
    total: EVER,
    sources: MANY,
    hits: ["version", "reset", "shape", "retry"],
    does: [],
  },
];

/** What a flooder is started with. */
export function setupOf(
  { kind, perSecond, total, sources }: Scenario,
  to: { readonly host: string; readonly port: number; readonly serverName: string },
): FloodSetup {
  return { kind, perSecond, total, sources, ...to };
}
