import { spawn, type ChildProcess } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { decodeValue } from "@quaymesh/protocol";
import { createQuicTransport } from "@quaymesh/transport-quic";
import { describe, expect, it } from "vitest";
import { FakeGateway, TASK_ID } from "../../packages/node/test/support/fake-gateway.ts";
import { createAuthority, pairState, temporaryDirectory } from "../../packages/node/test/support/paired-state.ts";

const directory = join(import.meta.dirname, "..");

/** A gateway on real QUIC and a paired state directory for the example's process. */
async function scene() {
  const authority = await createAuthority();
  const leaf = await authority.issueGatewayLeaf({ now: Date.now() });
  const gateway = new FakeGateway();
  await gateway.open(createQuicTransport(), {
    address: { host: "127.0.0.1", port: 0 },
    credentials: leaf.credentials,
    anchorsPem: authority.rootPem,
  });
  const state = await temporaryDirectory();
  await pairState(state.path, authority, { addresses: [gateway.address] });
  return {
    gateway,
    state: state.path,
    async [Symbol.asyncDispose]() {
      await gateway.close();
      await state[Symbol.asyncDispose]();
    },
  };
}

function run(example: string, state: string): ChildProcess {
  const child = spawn(process.execPath, ["-C", "@quaymesh/source", join(directory, example), state], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  return child;
}

const exitOf = (child: ChildProcess): Promise<number | null> =>
  new Promise((resolve) => child.once("close", (code) => resolve(code)));

describe("the examples", () => {
  it("node.ts is a whole node in fifteen lines", async () => {
    const source = await readFile(join(directory, "node.ts"), "utf8");
    expect(source.trimEnd().split("\n").length).toBeLessThanOrEqual(15);
  });

  it("node.ts runs the task it defines", async () => {
    await using it = await scene();
    const child = run("node.ts", it.state);
    const exited = exitOf(child);
    try {
      await it.gateway.until(() => it.gateway.sessions.length === 1);
      expect(it.gateway.session.hello.capabilities).toEqual([{ name: "text.words", concurrency: 8 }]);
      await it.gateway.runTask({ definition: "text.words" }, { text: "the sea  is\nwide" });
      await it.gateway.until(() => it.gateway.results().length === 1);
      const output = it.gateway.taskEvents().find(({ kind }) => kind === "task.output");
      expect(it.gateway.results()[0]).toMatchObject({ taskId: TASK_ID, outcome: "succeeded" });
      expect(output?.kind === "task.output" && decodeValue(output.data.bytes)).toEqual({ words: 4 });
    } finally {
      child.kill("SIGKILL");
      await exited;
    }
  });

  it("publish.ts leaves its event with the gateway and ends", async () => {
    await using it = await scene();
    const child = run("publish.ts", it.state);
    const exited = exitOf(child);
    if (child.stdout === null) throw new Error("no output");
    expect(await text(child.stdout)).toBe("event 1 is in the log\n");
    expect(await exited).toBe(0);
    expect(it.gateway.events.map(({ kind, data }) => [kind, decodeValue(data)])).toEqual([
      ["sensor.reading", { celsius: 21.5 }],
    ]);
    expect(it.gateway.session.bye).toBe("stopped");
  });
});
