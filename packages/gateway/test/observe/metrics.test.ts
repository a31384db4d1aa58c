import { readFile } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { LISTENER_CUTS, LISTENER_REFUSALS } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import { silentLogger } from "../../src/logger.ts";
import { GatewayMetrics } from "../../src/observe/metrics.ts";
import { ProbeServer } from "../../src/observe/probe-server.ts";
import { stats } from "../api/fake-services.ts";
import { SESSION_CUTS } from "../../src/sessions/service.ts";
import { FIRST_FRAME_MS } from "../../src/sessions/timed-stream.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { FakeNode } from "../support/fake-node.ts";
import { testGateway } from "../support/gateway.ts";
import { eventually } from "../support/eventually.ts";

/** The exposition format's samples: `name{labels}` to value. Throws for a line that is none. */
function samplesOf(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("# HELP ") || line.startsWith("# TYPE ")) continue;
    const match = /^(?<name>[a-zA-Z_:][a-zA-Z0-9_:]*(?:\{[^}]*\})?) (?<value>\S+)$/u.exec(line);
    if (match?.groups === undefined) throw new Error(`not a sample: ${line}`);
    samples.set(match.groups["name"] ?? "", Number(match.groups["value"]));
  }
  return samples;
}

async function get(
  port: number,
  path: string,
  method = "GET",
): Promise<{ status: number; type: string; body: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; type: string; body: string }>();
  const request = httpRequest({ host: "127.0.0.1", port, path, method, agent: false }, (response) => {
    const chunks: Buffer[] = [];
    response.on("data", (chunk: Buffer) => void chunks.push(chunk));
    response.once("end", () =>
      resolve({
        status: response.statusCode ?? 0,
        type: response.headers["content-type"] ?? "",
        body: Buffer.concat(chunks).toString(),
      }),
    );
  });
  request.once("error", reject);
  request.end();
  return promise;
}

const metricsOf = () => new GatewayMetrics({ version: "1.2.3", stats: () => Promise.resolve(stats) });

test("every counter and gauge is exposed under its own name, with a help text and a type", async () => {
  const metrics = metricsOf();
  const text = await metrics.text();
  const samples = samplesOf(text);
  const expected = {
    'quaymesh_build_info{version="1.2.3"}': 1,
    quaymesh_connections: 11,
    quaymesh_half_open_handshakes: 12,
    quaymesh_connections_accepted_total: 13,
    'quaymesh_connections_refused_total{reason="busy"}': 14,
    'quaymesh_connections_refused_total{reason="opening"}': 26,
    'quaymesh_connections_cut_total{reason="idle"}': 15,
    'quaymesh_connections_cut_total{reason="first-frame"}': 27,
    quaymesh_streams_throttled_turns_total: 16,
    quaymesh_datagrams_received_total: 17,
    quaymesh_datagrams_sent_total: 18,
    quaymesh_received_bytes_total: 19,
    quaymesh_sent_bytes_total: 20,
    quaymesh_send_errors_total: 21,
    quaymesh_sessions: 22,
    quaymesh_sessions_opened_total: 23,
    quaymesh_sessions_superseded_total: 24,
    quaymesh_sessions_revoked_total: 25,
    quaymesh_revocation_epoch: 28,
    quaymesh_devices: 29,
    quaymesh_event_log_first_offset: 30,
    quaymesh_event_log_last_offset: 31,
    'quaymesh_tasks{place="waiting"}': 32,
    'quaymesh_tasks{place="placed"}': 33,
    'quaymesh_tasks{place="retrying"}': 34,
    quaymesh_store_writes_total: 35,
    quaymesh_store_queued_writes: 36,
    quaymesh_store_ok: 1,
    quaymesh_event_log_bytes: 37,
    quaymesh_event_log_file_bytes: 38,
    quaymesh_event_log_free_bytes: 39,
    quaymesh_event_log_oldest_timestamp_seconds: 1_700_000_000.001,
    quaymesh_event_log_held: 1,
    quaymesh_events_dropped_total: 43,
    quaymesh_subscriptions_lapsed_total: 44,
    quaymesh_retention_clock_behind_seconds: 0.045,
    'quaymesh_ingest_throttled_total{reason="rate"}': 46,
    'quaymesh_ingest_throttled_total{reason="quota"}': 47,
    quaymesh_ingest_waiting_batches: 48,
    quaymesh_event_log_damaged_events: 50,
    quaymesh_start_time_seconds: 1_700_000_000,
  };
  expect(Object.fromEntries([...samples].filter(([name]) => name in expected))).toEqual(expected);
  for (const name of samples.keys()) {
    const bare = name.replace(/\{.*/u, "");
    if (!bare.startsWith("quaymesh_")) continue;
    expect(text).toContain(`# HELP ${bare} `);
    expect(text).toContain(`# TYPE ${bare} ${bare.endsWith("_total") ? "counter" : "gauge"}`);
  }
  // A second scrape shows the same totals, not their sum.
  expect(samplesOf(await metrics.text()).get("quaymesh_sent_bytes_total")).toBe(20);
  metrics.close();
});

test("reasons that never came up are there as 0", async () => {
  const metrics = metricsOf();
  const samples = samplesOf(await metrics.text());
  for (const reason of LISTENER_REFUSALS) {
    expect(samples.get(`quaymesh_connections_refused_total{reason="${reason}"}`)).toBe(reason === "busy" ? 14 : 0);
  }
  for (const reason of LISTENER_CUTS) {
    expect(samples.has(`quaymesh_connections_cut_total{reason="${reason}"}`)).toBe(true);
  }
  metrics.close();
});

test("the probes tell a ready gateway from one that is not, and metrics that cannot be had from an empty page", async () => {
  let reason: string | undefined;
  let fails = false;
  const metrics = { contentType: "text/plain; version=0.0.4", text: async () => (fails ? lost() : "up 1\n") };
  const lost = (): never => {
    throw new Error("the store is gone");
  };
  await using server = await ProbeServer.listen(
    { host: "127.0.0.1", port: 0 },
    {
      metrics,
      logger: silentLogger,
      readiness: () => (reason === undefined ? { kind: "ready" } : { kind: "not-ready", reason }),
    },
  );
  const { port } = server.address;
  expect(await get(port, "/healthz")).toMatchObject({ status: 200, body: "ok\n" });
  expect(await get(port, "/readyz")).toMatchObject({ status: 200, body: "ready\n" });
  reason = "the store is full";
  expect(await get(port, "/readyz?verbose")).toMatchObject({ status: 503, body: "the store is full\n" });
  expect(await get(port, "/healthz")).toMatchObject({ status: 200 });
  expect(await get(port, "/metrics")).toMatchObject({ status: 200, type: metrics.contentType, body: "up 1\n" });
  expect(await get(port, "/metrics", "HEAD")).toMatchObject({ status: 200, body: "" });
  fails = true;
  expect(await get(port, "/metrics")).toMatchObject({ status: 503 });
  expect(await get(port, "/metrics", "POST")).toMatchObject({ status: 405 });
  expect(await get(port, "/")).toMatchObject({ status: 404 });
});

test("a port that is taken is named", async () => {
  const parts = {
    metrics: { contentType: "", text: async () => "" },
    logger: silentLogger,
    readiness: () => ({ kind: "ready" }) as const,
  };
  await using server = await ProbeServer.listen({ host: "127.0.0.1", port: 0 }, parts);
  await expect(ProbeServer.listen(server.address, parts)).rejects.toMatchObject({ code: "PORT_IN_USE" });
});

test("what a running gateway counts goes with what happens to it", async () => {
  const clock = new FakeClock();
  await using gateway = await testGateway({ clock });
  const device = await gateway.enroll("a");
  const metrics = new GatewayMetrics({ version: "0", stats: () => gateway.core.stats() });
  const before = samplesOf(await metrics.text());
  expect(before.get("quaymesh_sessions")).toBe(0);
  const node = await gateway.connect(device);
  const silent = await FakeNode.dial(gateway.network, gateway.core.address, await gateway.enroll("b"));
  await eventually(() => gateway.core.sessions.stats().connections === 2);
  clock.advance(FIRST_FRAME_MS);
  expect(await silent.closed).toMatchObject({ kind: "application", code: 0x53 });
  const after = samplesOf(await metrics.text());
  expect(after.get("quaymesh_sessions")).toBe(1);
  expect(after.get("quaymesh_sessions_opened_total")).toBe(1);
  expect(after.get("quaymesh_devices")).toBe(2);
  expect(after.get('quaymesh_connections_cut_total{reason="first-frame"}')).toBe(1);
  expect(await node.heartbeat(1)).toMatchObject({ fenced: [] });
  metrics.close();
});

test("the guide names every metric and every reason, and no other", async () => {
  const guide = await readFile(new URL("../../../../docs/observability.md", import.meta.url), "utf8");
  const named = new Set([...guide.matchAll(/`(quaymesh_[a-z_]+)(?:\{[a-z]+\})?`/gu)].map((match) => match[1] ?? ""));
  const metrics = metricsOf();
  const exposed = [...samplesOf(await metrics.text()).keys()].map((name) => name.replace(/\{.*/u, ""));
  expect(Array.from(named).toSorted()).toEqual(
    [...new Set(exposed.filter((name) => name.startsWith("quaymesh_")))].toSorted(),
  );
  metrics.close();
  const reasonsIn = (heading: string): string[] => {
    const part = guide.split(`### ${heading}`)[1]?.split(/\n##/u)[0] ?? "";
    const cells = part.split("\n").flatMap((line) => /^\| (?<cell>`[^|]*) \|/u.exec(line)?.groups?.["cell"] ?? []);
    return cells.flatMap((cell) => [...cell.matchAll(/`([a-z-]+)`/gu)].map((match) => match[1] ?? ""));
  };
  expect(reasonsIn("Why somebody was refused").toSorted()).toEqual([...LISTENER_REFUSALS, "opening"].toSorted());
  expect(reasonsIn("Why somebody was cut").toSorted()).toEqual([...LISTENER_CUTS, ...SESSION_CUTS].toSorted());
});
