import type { Checkpoint } from "../messages/checkpoint.ts";

/** Revocations a checkpoint names: those of them that a restored store lacks can be made again. */
export const MAX_CHECKPOINT_REVOCATIONS = 8;

/**
 * Whether a gateway shows a state older than one that this node has seen. It is what can be told from two checkpoints alone; the gateway, which knows its own past, can tell more.
 * @param seen the newest checkpoint this node was given
 * @param shown in the welcome
 */
export function isBehind(seen: Checkpoint, shown: Checkpoint): boolean {
  // Someone has said that what lies between is lost.
  if (shown.era !== seen.era) return shown.era < seen.era;
  if (shown.generation < seen.generation) return true;
  if (shown.generation === seen.generation && !sameBytes(shown.incarnation, seen.incarnation)) return true;
  return shown.revocationEpoch < seen.revocationEpoch || shown.offset < seen.offset;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
