import type { GatewayClient } from "@quaymesh/gateway/client";
import { connect } from "@quaymesh/gateway/client";
import { count } from "../ui/format.ts";
import type { Child, Line } from "./child.ts";
import { DemoError, expect } from "./error.ts";
import { launchGateway, type DemoGateway } from "./gateway-step.ts";
import { numberField } from "./line-fields.ts";
import type { DemoNode } from "./pair-step.ts";
import type { Screen } from "./screen.ts";
import type { Stage } from "./stage.ts";
import type { Outcome } from "./steps.ts";
import { Reader, verifyRecords, type TickRecord } from "./ticks.ts";

const TICKS = 20_000;
/** The node is killed here, while it records. */
const KILL_NODE_AT = TICKS / 2;
/** The gateway is killed here; the rest is recorded while it is away. */
const KILL_GATEWAY_AT = (TICKS * 3) / 4;
const PUBLISHER = new URL(import.meta.url.endsWith(".ts") ? "./publisher.ts" : "./publisher.js", import.meta.url);

/** Step 5: both ends are killed while events flow, and nothing is lost, repeated or out of order. */
export async function surviveKills(
  stage: Stage,
  screen: Screen,
  gateway: DemoGateway,
  node: DemoNode,
): Promise<Outcome<void>> {
  const reader = new Reader(TICKS, (seen) => screen.progress(seen, TICKS, "events delivered"));
  const subscriber = stage.command(
    "subscriber",
    ["events", "tail", "--state", gateway.state, "--after", "0", "--kind", "demo.*"],
    (line) => reader.take(line),
  );
  const told = await publishAndKill(stage, screen, gateway, node);
  // A subscriber that gave up says more than a wait that runs out.
  await Promise.race([reader.complete(stage.signal), failedEarly(subscriber)]);
  await using client = await connect({ state: gateway.state, signal: stage.signal });
  const log = await readLog(client, stage.signal);
  await told.publisher.stop();
  await subscriber.stop();
  const inLog = verifyRecords(log, "the log", { ticks: TICKS, toldAtKill: told.atKill, firstMark: told.firstMark });
  const seen = verifyRecords(reader.records, "the subscriber", {
    ticks: TICKS,
    toldAtKill: told.atKill,
    firstMark: told.firstMark,
  });
  const { resumedFrom } = reader;
  expect(resumedFrom > 0, () => "the subscriber never had to resume");
  return {
    facts: {
      published: TICKS,
      delivered: seen.delivered,
      duplicates: seen.duplicates + inLog.duplicates,
      lost: seen.lost + inLog.lost,
      resumedFrom,
      recordedAtNodeKill: told.recordedBefore,
      recordedWhileGatewayAway: TICKS - KILL_GATEWAY_AT,
    },
    lines: [
      `${count(TICKS)} recorded, ${count(seen.delivered)} delivered, ${seen.duplicates} twice, ${seen.lost} lost`,
      `node killed after ${count(told.recordedBefore)}, gateway after ${count(KILL_GATEWAY_AT)} events`,
      `the subscriber went on after offset ${count(resumedFrom)}, all in order`,
    ],
    value: undefined,
  };
}

async function publishAndKill(stage: Stage, screen: Screen, gateway: DemoGateway, node: DemoNode) {
  const start = (firstMark: number): Child =>
    stage.module("publisher", PUBLISHER, [node.state, String(firstMark), String(KILL_GATEWAY_AT), String(TICKS)]);
  const first = start(0);
  const firstMark = numberField(await first.line("mark", (line) => "mark" in line), "mark");
  const atKill = numberField(await first.line("half of the events", recorded(KILL_NODE_AT)), "recorded");
  await first.kill();
  screen.note(`node killed when ${count(atKill)} events were recorded; starting it again`);
  const publisher = start(firstMark);
  const resumed = await publisher.line("mark", (line) => "mark" in line);
  await publisher.line("three quarters of the events", recorded(KILL_GATEWAY_AT));
  await gateway.child.kill();
  screen.note(`gateway killed after ${count(KILL_GATEWAY_AT)}; the node goes on recording`);
  publisher.send("go");
  await publisher.line("all events", (line) => "recordedAll" in line);
  gateway.child = (await launchGateway(stage, gateway.state, gateway.address)).child;
  screen.note("gateway started again");
  screen.doing("the node has to notice that its gateway is another process now");
  return { publisher, firstMark, atKill, recordedBefore: numberField(resumed, "recordedBefore") };
}

function recorded(atLeast: number): (line: Line) => boolean {
  return (line) => typeof line["recorded"] === "number" && line["recorded"] >= atLeast;
}

async function failedEarly(child: Child): Promise<never> {
  const { code } = await child.exited;
  throw child.failure(`the subscriber ended with exit code ${code ?? "unknown"}`);
}

/** The whole log as it is now, through the operator API like any other reader. */
async function readLog(client: GatewayClient, signal: AbortSignal): Promise<readonly TickRecord[]> {
  const { lastOffset } = await client.status({ signal });
  const records: TickRecord[] = [];
  for await (const event of client.events({ after: 0, signal })) {
    if (event.kind.startsWith("demo."))
      records.push({ offset: event.offset, seq: event.seq, tick: tickOf(event.data) });
    if (event.offset >= lastOffset) return records;
  }
  throw new DemoError(`the log ended before offset ${lastOffset}`);
}

function tickOf(value: unknown): number | undefined {
  if (typeof value !== "object" || value === null || !("tick" in value)) return undefined;
  return typeof value.tick === "number" ? value.tick : undefined;
}
