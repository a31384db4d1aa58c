/** How far a gateway's store had come. A node keeps the newest it was given and shows it with its next hello, so that an older copy of the store is noticed. docs/wire.md, "Checkpoints". */
import { Type, type Static } from "typebox";
import { Compile } from "typebox/compile";
import { MAX_CHECKPOINT_REVOCATIONS } from "../session/checkpoint.ts";
import { bytes, deviceId, uint } from "./common.ts";
import { checked } from "./parse.ts";

/** Fields as in {@link Checkpoint}. */
export const checkpoint = Type.Object({
  /** Losses that operators have accepted so far: what belongs to an earlier era is settled. */
  era: uint(),
  /** Starts of the gateway on this store so far. */
  generation: uint(),
  /** Random, of this start. */
  incarnation: bytes(16, 16),
  revocationEpoch: uint(),
  /** Of the newest event in the log. */
  offset: uint(),
  /** Devices revoked last, newest first. */
  revoked: Type.Array(deviceId, { maxItems: MAX_CHECKPOINT_REVOCATIONS }),
  /** By which the gateway knows its own; nobody else can check it, or make one. */
  mac: bytes(32, 32),
});

/** A moment in the history of a gateway's store. */
export type Checkpoint = Static<typeof checkpoint>;

const validator = Compile(checkpoint);

/** A checkpoint that was kept, such as on a disk. @throws {ProtocolError} `MESSAGE_INVALID` */
export function parseCheckpoint(value: unknown): Checkpoint {
  return checked(validator, value, "checkpoint") as Checkpoint;
}
