/** The floods that are tried, and what they are made of. */
import { loopbackSources } from "./flood.ts";
import type { FloodKind, FloodSetup } from "./flooder.ts";

/** A flood by name. */
export interface Scenario {
  readonly name: string;
  readonly kind: FloodKind;
  /** New attempts a second. */
  readonly perSecond: number;
  readonly total: number;
  readonly sources: readonly string[];
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
  },
  {
    name: "half-open handshakes, one address",
    kind: "half-open",
    perSecond: 1000,
    total: EVER,
    sources: ["127.0.0.1"],
  },
  {
    name: "half-open handshakes, proved addresses in 250 prefixes",
    kind: "half-open-validated",
    perSecond: 500,
    total: EVER,
    sources: MANY,
  },
  { name: "1000 strangers who send crumbs", kind: "crumbs", perSecond: 500, total: 1000, sources: MANY },
  {
    name: "whole handshakes without a certificate of the mesh",
    kind: "handshakes",
    perSecond: 300,
    total: EVER,
    sources: MANY,
  },
  { name: "Retry tokens replayed", kind: "token-replay", perSecond: 1000, total: EVER, sources: MANY },
  { name: "questions for the sake of their answers", kind: "reflection", perSecond: 4000, total: EVER, sources: MANY },
];

/** What a flooder is started with. */
export function setupOf(
  { kind, perSecond, total, sources }: Scenario,
  to: { readonly host: string; readonly port: number; readonly serverName: string },
): FloodSetup {
  return { kind, perSecond, total, sources, ...to };
}
