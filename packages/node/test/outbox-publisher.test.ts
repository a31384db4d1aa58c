import { expect, it } from "vitest";
import { NodeError } from "../src/errors.ts";
import { OutboxPublisher, type OutboxPublisherParts } from "../src/events/outbox-publisher.ts";
import type { OnlineSession } from "../src/link/link.ts";
import type { Outbox } from "../src/outbox/outbox.ts";

it("says once for each reason that events could not be given new numbers, however often it tries", async () => {
  const lines: string[] = [];
  const online = new AbortController();
  const full = new NodeError("OUTBOX_DISK_FULL", "the disk is full");
  const failing = new NodeError("OUTBOX_IO", "the disk fails");
  const outcomes = [full, full, full, failing, failing, full, undefined];
  const outbox = {
    durable: 1,
    // One after the other, and the last one ends the session.
    renumber: async () => {
      const outcome = outcomes.shift();
      if (outcomes.length === 0) online.abort();
      if (outcome !== undefined) throw outcome;
      return { dropped: 0, kept: 1 };
    },
  };
  const parts = {
    outbox: outbox as unknown as Outbox,
    log: {
      failure: (event: string, cause: NodeError) => lines.push(`${event} ${cause.code}`),
      line: ({ event }: { readonly event: string }) => lines.push(event),
    },
    link: { settle: async () => {}, redial: () => {} },
  } as unknown as OutboxPublisherParts;
  await new OutboxPublisher(parts).run({
    signal: online.signal,
    welcome: { ackedSeq: 5 },
  } as unknown as OnlineSession);
  const failed = "outbox.not-renumbered";
  expect(lines).toEqual([
    `${failed} OUTBOX_DISK_FULL`,
    `${failed} OUTBOX_IO`,
    `${failed} OUTBOX_DISK_FULL`,
    "outbox.renumbered",
  ]);
});
