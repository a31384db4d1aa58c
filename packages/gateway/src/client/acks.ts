import { createClient } from "@connectrpc/connect";
import { EventService } from "@quaymesh/api";
import { ClientError } from "./errors.ts";
import type { Wire } from "./wire.ts";

/** Acknowledgements of one durable subscription: one call at a time, and what is wished meanwhile goes into the next. */
export class Acks {
  readonly #wire: Wire;
  readonly #name: string | undefined;
  #epoch = 0;
  #wished = 0;
  /** The last event that the consumer was given. */
  #given = 0;
  /** Nothing that the filter passes is left up to here. */
  #caughtUp = 0;
  #acked = 0;
  #running: Promise<void> | undefined;

  constructor(wire: Wire, name: string | undefined) {
    this.#wire = wire;
    this.#name = name;
  }

  /** A stream is open under this epoch; what could not be said on the one before is said now. */
  opened(epoch: number): void {
    this.#epoch = epoch;
    this.#start();
  }

  /** The consumer is given this event. */
  give(offset: number): void {
    this.#given = offset;
  }

  /** Everything up to `offset` was given, or is hidden by the filter: where all that was given is done with, this is too. Kept back, it would make a consumer lapse that has seen everything. */
  caughtUp(offset: number): void {
    this.#caughtUp = offset;
    if (this.#wished >= this.#given) this.wish(offset);
  }

  /** Everything up to `offset` is done with; said in the background. */
  wish(offset: number): void {
    this.#wished = Math.max(this.#wished, this.#reach(offset));
    this.#start();
  }

  /** Everything up to `offset` is done with. Resolves when it is stored. @throws {ClientError} */
  async upTo(offset: number): Promise<void> {
    if (this.#name === undefined) {
      throw new ClientError(
        "SUBSCRIPTION_INVALID",
        "there is nothing to acknowledge: the subscription is not durable",
        {
          hint: "Name it with `durable`.",
        },
      );
    }
    this.#wished = Math.max(this.#wished, this.#reach(offset));
    while (this.#acked < offset) await (this.#running ??= this.#run());
  }

  /** Resolves when what was wished is stored, or cannot be. */
  async settled(): Promise<void> {
    await this.#running?.catch(() => undefined);
    if (this.#wished > this.#acked && this.#name !== undefined) await this.#run().catch(() => undefined);
  }

  /** With the last event goes what the filter hides behind it. */
  #reach(offset: number): number {
    return offset < this.#given ? offset : Math.max(offset, this.#caughtUp);
  }

  #start(): void {
    if (this.#name === undefined || this.#running !== undefined || this.#wished <= this.#acked) return;
    // A failure shows in the stream as well, or is made good by the next stream.
    (this.#running = this.#run()).catch(() => undefined);
  }

  async #run(): Promise<void> {
    const client = createClient(EventService, this.#wire.transport);
    try {
      while (this.#wished > this.#acked) {
        const request = { name: this.#name ?? "", epoch: BigInt(this.#epoch), offset: BigInt(this.#wished) };
        const { acked } = await this.#wire.call(() => client.acknowledge(request));
        this.#acked = Number(acked);
      }
    } finally {
      this.#running = undefined;
    }
  }
}
