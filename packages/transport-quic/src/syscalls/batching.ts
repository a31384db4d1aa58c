import { loadLibc } from "./libc.ts";
import type { Libc } from "./libc.ts";
import { ReceiveBatch } from "./receive-batch.ts";
import { SendBatch } from "./send-batch.ts";

/** The system calls, and the memory they work on: one for all sockets of a process. */
export interface Batching {
  readonly libc: Libc;
  readonly sends: SendBatch;
  readonly receives: Pick<ReceiveBatch, "drain">;
}

let loading: Promise<Batching | undefined> | undefined;

/** @returns `undefined` where the platform does not have the calls: sockets then send and receive one datagram a call */
export function loadBatching(): Promise<Batching | undefined> {
  loading ??= loadLibc().then((libc) =>
    libc === undefined ? undefined : { libc, sends: new SendBatch(libc), receives: new ReceiveBatch(libc) },
  );
  return loading;
}
