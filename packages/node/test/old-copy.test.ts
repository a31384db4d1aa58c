/** Outbox directories that were put back from an image, or copied: their events have numbers that the gateway knows others by. */
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  encodeValue,
  MessageStream,
  openIngest,
  parsePublishMessage,
  parseRequest,
  stepIngest,
  type Connection,
  type Ingest,
  type IngestEffect,
} from "@quaymesh/protocol";
import { createMemoryNetwork } from "@quaymesh/protocol/memory";
import { expect, it } from "vitest";
import { PublishPump } from "../src/events/publish-pump.ts";
import { Outbox } from "../src/outbox/outbox.ts";
import { ManualClock } from "./support/manual-clock.ts";

const ADDRESS = { host: "gateway", port: 1 };
const WELCOME = {
  type: "welcome",
  sessionEpoch: 1,
  mesh: "mesh",
  heartbeatMs: 30_000,
  ackedSeq: 0,
  policyVersion: 0,
  limits: { maxFrameBytes: 65_536, maxBatchEvents: 100, maxEventBytes: 65_536 },
  time: 0,
} as const;

/** A gateway's log: bodies by outbox epoch and sequence, compared as the store does. */
class Log {
  readonly #outboxes = new Map<string, string[]>();
  /** Bodies in the order of their arrival. */
  readonly bodies: string[] = [];

  /** Serve publish streams of a connection. */
  async serve(connection: Connection): Promise<void> {
    for await (const incoming of connection.incomingStreams) {
      const stream = new MessageStream(incoming);
      const body = await stream.read();
      const request = body === null ? undefined : parseRequest(body, ["events.publish"]);
      if (request?.method !== "events.publish") throw new Error("no publisher");
      await this.#ingest(stream, Buffer.from(request.outboxEpoch).toString("hex")).catch(() => undefined);
    }
  }

  async #ingest(stream: MessageStream, epoch: string): Promise<void> {
    const stored = this.#outboxes.get(epoch) ?? [];
    this.#outboxes.set(epoch, stored);
    let state: Ingest | undefined;
    const perform = async (step: {
      readonly state: Ingest;
      readonly effects: readonly IngestEffect[];
    }): Promise<void> => {
      state = step.state;
      for (const effect of step.effects) if (effect.kind === "reply") await stream.send(effect.reply);
    };
    await perform(openIngest(stored.length));
    for await (const message of stream.messages(parsePublishMessage)) {
      if (message.type !== "batch" || state === undefined) return;
      const { first, events } = message;
      const known = stored.length;
      await perform(stepIngest(state, { kind: "batch", first, count: events.length }));
      const conflicts: number[] = [];
      for (const [index, event] of events.entries()) {
        const said = Buffer.from(event.data).toString("hex");
        const at = first + index - 1;
        if (at >= stored.length) {
          stored.push(said);
          this.bodies.push(said);
        } else if (stored[at] !== said) conflicts.push(at + 1);
      }
      const through = Math.min(known, first + events.length - 1);
      if (through >= first) await perform(stepIngest(state, { kind: "compared", through, conflicts }));
      await perform(stepIngest(state, { kind: "committed", through: stored.length }));
    }
  }
}

async function scene() {
  const root = await mkdtemp(join(tmpdir(), "quaymesh-copy-"));
  const network = createMemoryNetwork();
  const common = { protocol: "test", credentials: { keyPem: "k", chainPem: "c" } } as const;
  const trust = { kind: "anchored", anchorsPem: "" } as const;
  const listener = await network.listen({ address: ADDRESS, trust, ...common });
  const log = new Log();
  const serving = (async () => {
    for await (const connection of listener) void log.serve(connection);
  })();
  /** One session: publish until all is acknowledged, or the outbox is found to be an old copy and gets new numbers. */
  const session = async (outbox: Outbox): Promise<"all" | "renumbered"> => {
    const connection = await network.dial(ADDRESS, { serverName: "gateway", trust, ...common });
    const over = new AbortController();
    const online = { connection, welcome: WELCOME, address: ADDRESS, signal: over.signal };
    const pump = new PublishPump(online, { outbox, clock: new ManualClock() });
    const running = pump.run().then(
      () => "all" as const,
      async (cause: unknown) => {
        if (!(cause instanceof Error && "code" in cause && cause.code === "OUTBOX_BEHIND")) throw cause;
        await outbox.renumber();
        return "renumbered" as const;
      },
    );
    const done = outbox.acknowledged(outbox.durable, over.signal).then(() => "all" as const);
    const outcome = await Promise.race([running, done]);
    over.abort();
    done.catch(() => undefined);
    await running;
    connection.close(0);
    return outcome;
  };
  return {
    log,
    session,
    directory: join(root, "outbox"),
    image: join(root, "image"),
    async [Symbol.asyncDispose]() {
      await listener.close();
      await serving;
      await rm(root, { recursive: true, force: true });
    },
  };
}

const record = async (outbox: Outbox, names: readonly string[]): Promise<void> => {
  for (const name of names) await outbox.append({ kind: "test.tick", time: 1, data: encodeValue(name) });
};
const named = (prefix: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, at) => `${prefix}${at}`);
const bodiesOf = (names: readonly string[]): readonly string[] =>
  names.map((name) => Buffer.from(encodeValue(name)).toString("hex"));

it.each([
  ["shorter than what the gateway has", 3],
  ["as long as what the gateway has", 10],
  ["longer than what the gateway has", 25],
])(
  "an image that is put back and records offline until it is %s loses nothing, over any restarts",
  async (_what, offline) => {
    await using at = await scene();
    {
      await using outbox = await Outbox.open({ directory: at.directory });
      await record(outbox, named("before", 10));
      await at.session(outbox);
    }
    await cp(at.directory, at.image, { recursive: true });
    {
      await using outbox = await Outbox.open({ directory: at.directory });
      await record(outbox, named("first life", 10));
      await at.session(outbox);
    }
    await rm(at.directory, { recursive: true });
    await cp(at.image, at.directory, { recursive: true });
    {
      await using outbox = await Outbox.open({ directory: at.directory });
      await record(outbox, named("second life", offline));
    }
    {
      await using outbox = await Outbox.open({ directory: at.directory });
      const behind = outbox.durable < 20;
      // What the welcome says; the node does so before it publishes.
      if (behind) await outbox.renumber();
      else expect(await at.session(outbox)).toBe("renumbered");
      await record(outbox, ["after"]);
      expect(await at.session(outbox)).toBe("all");
    }
    const all = [...named("before", 10), ...named("first life", 10), ...named("second life", offline), "after"];
    expect(at.log.bodies).toEqual(bodiesOf(all));
  },
);

it("two copies that both go on get into the log whole, each under an epoch of its own", async () => {
  await using at = await scene();
  {
    await using outbox = await Outbox.open({ directory: at.directory });
    await record(outbox, named("before", 3));
    await at.session(outbox);
  }
  await cp(at.directory, at.image, { recursive: true });
  await using one = await Outbox.open({ directory: at.directory });
  await using other = await Outbox.open({ directory: at.image });
  await record(one, named("one", 5));
  await record(other, named("other", 8));
  expect(await at.session(one)).toBe("all");
  expect(await at.session(other)).toBe("renumbered");
  expect(await at.session(other)).toBe("all");
  expect(at.log.bodies).toEqual(bodiesOf([...named("before", 3), ...named("one", 5), ...named("other", 8)]));
});

it("a node that was killed before it wrote what was acknowledged gets it into the log once", async () => {
  await using at = await scene();
  {
    await using outbox = await Outbox.open({ directory: at.directory });
    await record(outbox, named("event", 250));
    await cp(at.directory, at.image, { recursive: true });
    await at.session(outbox);
  }
  // As of before the acknowledgements: what a power cut may leave.
  await using outbox = await Outbox.open({ directory: at.image });
  await record(outbox, ["after"]);
  expect(await at.session(outbox)).toBe("all");
  expect(at.log.bodies).toEqual(bodiesOf([...named("event", 250), "after"]));
});
