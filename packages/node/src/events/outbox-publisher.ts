import type { Clock } from "../clock.ts";
import { NodeError } from "../errors.ts";
import type { Link, OnlineSession } from "../link/link.ts";
import type { NodeLog } from "../node-log.ts";
import type { Outbox } from "../outbox/outbox.ts";
import { outboxBehind, PublishPump, type PublishPumpOptions } from "./publish-pump.ts";

/** What an {@link OutboxPublisher} works with. */
export interface OutboxPublisherParts extends Required<Pick<PublishPumpOptions, "onThrottle" | "compress">> {
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly log: NodeLog;
  readonly link: Pick<Link, "settle" | "redial">;
}

/** Brings what is recorded to the gateway, over as many streams and sessions as it takes, and sees it when the two no longer agree on the past. */
export class OutboxPublisher {
  readonly #parts: OutboxPublisherParts;
  #pump: PublishPump | undefined;
  #durableAtHello = 0;
  /** Why the events could not be given new numbers, the last time that was tried. */
  #hindrance: string | undefined;

  constructor(parts: OutboxPublisherParts) {
    this.#parts = parts;
  }

  /** Whether a session takes events now. */
  get isUnderWay(): boolean {
    return this.#pump !== undefined;
  }

  /** A hello is about to be sent: the welcome that answers it is compared with what is recorded by now. */
  greeting(): void {
    this.#durableAtHello = this.#parts.outbox.durable;
  }

  /** Send what waits, without waiting for more. */
  flush(): void {
    this.#pump?.flush();
  }

  /** Publish over `session` until its signal aborts. Never rejects. */
  async run(session: OnlineSession): Promise<void> {
    const { outbox, clock, log, link, onThrottle, compress } = this.#parts;
    // As of the hello: what was recorded since must not hide that this outbox is an older copy of the one the gateway knows.
    const { ackedSeq } = session.welcome;
    if (ackedSeq > this.#durableAtHello) {
      const why = outboxBehind(ackedSeq, this.#durableAtHello);
      // A disk may be full for a while, and under the old numbers there is nothing to say over this session.
      for (let done = false; !done && !session.signal.aborted;) {
        done = await this.#renumber(why);
        await link.settle(session.signal).catch(() => {});
      }
    }
    while (!session.signal.aborted) {
      const pump = new PublishPump(session, { outbox, clock, compress, onThrottle });
      this.#pump = pump;
      try {
        await pump.run();
      } catch (cause) {
        if (cause instanceof NodeError && cause.code === "OUTBOX_BEHIND") await this.#renumber(cause);
        else if (!session.signal.aborted) log.failure("publish.failed", cause);
      } finally {
        this.#pump = undefined;
      }
      await link.settle(session.signal).catch(() => {});
    }
  }

  /** Gateway and outbox no longer agree on the past: what is left goes under a new epoch, and some of it may then be in the log twice. @returns whether it does */
  async #renumber(why: NodeError): Promise<boolean> {
    const { outbox, log, link } = this.#parts;
    try {
      const { dropped, kept } = await outbox.renumber();
      const message = `${why.message}. ${kept} events got new numbers under a new outbox epoch`;
      log.line({ level: "error", event: "outbox.renumbered", message, details: { dropped, kept } });
      this.#hindrance = undefined;
      link.redial("new outbox epoch");
      return true;
    } catch (cause) {
      // Once for each reason: it is tried again all the time, and the log may be on the very disk that is full.
      const hindrance = cause instanceof NodeError ? cause.code : "";
      if (hindrance !== this.#hindrance) log.failure("outbox.not-renumbered", cause);
      this.#hindrance = hindrance;
      return false;
    }
  }
}
