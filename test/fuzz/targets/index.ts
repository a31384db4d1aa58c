import { datagramsTarget } from "../datagrams/target.ts";
import { pureTarget } from "../pure.ts";
import type { TargetEntry } from "../target.ts";

const module = (name: string): URL => new URL(`${name}.ts`, import.meta.url);

/** Everything that can be fuzzed. */
export const TARGETS: readonly TargetEntry[] = [
  datagramsTarget(),
  pureTarget("frames", "a byte stream, cut anywhere, into frames", module("frames")),
  pureTarget("cbor", "frame bodies and application values", module("cbor")),
  pureTarget("messages", "every message parser, both directions", module("messages")),
  pureTarget("tickets", "tickets and PINs, scanned, pasted or typed", module("tickets")),
  pureTarget("csr", "certificate requests and certificates", module("csr")),
];
