/** A disk that flips a bit in what a node keeps: found where it is read, and said. What can be done without goes on without. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { JOIN_TOKEN_BYTES } from "@quaymesh/protocol";
import { createMemoryNetwork } from "@quaymesh/protocol/memory";
import { describe, expect, it } from "vitest";
import { identityCheck } from "../src/doctor/identity-check.ts";
import { Node, readNodeStatus, type NodeLogLine } from "../src/index.ts";
import { findIdentity } from "../src/state/identity-file.ts";
import { JoinFile } from "../src/state/join-file.ts";
import { layoutOf } from "../src/state/layout.ts";
import { StatusWriter } from "../src/state/status.ts";
import { decodeSummed } from "../src/state/summed.ts";
import { doctorContext } from "./support/doctor.ts";
import { createAuthority, pairState, temporaryDirectory } from "./support/paired-state.ts";

async function paired() {
  const directory = await temporaryDirectory();
  await pairState(directory.path, await createAuthority());
  return { layout: layoutOf(directory.path), [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
}

async function flip(path: string, at: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  await writeFile(path, bytes, { mode: 0o600 });
}

describe("the identity", () => {
  it("is refused with any bit of what it says flipped, and is otherwise what was written", async () => {
    await using it = await paired();
    const { identity: path } = it.layout;
    const good = await readFile(path, "utf8");
    const before = await findIdentity(it.layout);
    // Of what matters: not of the white space around it, nor of the names of fields, without which it is refused anyway or as it was before there were sums.
    for (const value of [before?.mesh ?? "", before?.deviceId ?? "", String(before?.notAfter), "192.0.2.10"]) {
      await flip(path, good.indexOf(value) + value.length - 1);
      await expect(findIdentity(it.layout)).rejects.toMatchObject({ code: "STATE_CORRUPT" });
      await writeFile(path, good, { mode: 0o600 });
    }
    expect(await findIdentity(it.layout)).toEqual(before);
  });

  it("of before there were sums is read as it is, and has one once it is written again", async () => {
    await using it = await paired();
    const { identity: path } = it.layout;
    const before = await findIdentity(it.layout);
    const { sum: _, ...fields } = JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
    await writeFile(path, JSON.stringify(fields), { mode: 0o600 });
    expect(await findIdentity(it.layout)).toEqual(before);
    expect(decodeSummed('{"a":1,"sum":"00000000"}')).toBe("it is not what was written");
  });
});

describe("the join token", () => {
  it("with a flipped bit is not shown: the gateway would freeze the device", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "join");
    const token = new Uint8Array(JOIN_TOKEN_BYTES).fill(7);
    await (await JoinFile.open(path)).store(token);
    expect((await JoinFile.open(path)).stored).toEqual(token);
    await flip(path, 3);
    await expect(JoinFile.open(path)).rejects.toMatchObject({ code: "JOIN_TOKEN_DAMAGED" });
    await writeFile(path, `${Buffer.from(token).toString("hex")}\n`);
    expect((await JoinFile.open(path)).stored).toEqual(token);
  });
});

it("the join token is looked at by the doctor, too: without it the node does not start", async () => {
  await using it = await paired();
  const { layout } = it;
  await (await JoinFile.open(layout.join)).store(new Uint8Array(JOIN_TOKEN_BYTES).fill(7));
  const context = doctorContext({ state: layout.directory });
  expect(await identityCheck.run(context)).toMatchObject({ verdict: "ok" });
  await flip(layout.join, 3);
  expect(await identityCheck.run(context)).toMatchObject({
    verdict: "failed",
    code: "JOIN_TOKEN_DAMAGED",
    fix: expect.stringContaining("quaymesh device unfreeze"),
  });
});

describe("what can be done without", () => {
  it("is said to be damaged when the node opens, and the node goes on", async () => {
    await using it = await paired();
    const { layout } = it;
    const lines: NodeLogLine[] = [];
    const open = () =>
      Node.open({ state: layout.directory, transport: createMemoryNetwork(), log: (line) => lines.push(line) });
    const first = await open();
    await first.publish("n", 1);
    await first.stop({ graceMs: 0, flushMs: 0 });
    expect(lines.filter(({ level }) => level === "warn")).toEqual([]);
    await writeFile(layout.seen, "{", { mode: 0o600 });
    await flip(join(layout.outbox, "1", "watermarks"), 8);
    const second = await open();
    const warned = lines.filter(({ level }) => level === "warn").map(({ event }) => event);
    expect(warned).toEqual(["outbox.watermarks-damaged", "checkpoint.damaged"]);
    expect(second.unacknowledged).toBe(1);
    await second.stop({ graceMs: 0, flushMs: 0 });
  });

  it("is said of the status too, instead of that the node never ran", async () => {
    await using it = await paired();
    const { layout } = it;
    expect(await readNodeStatus(layout.directory)).toMatchObject({ isReportDamaged: false });
    await new StatusWriter(layout.status).write({ kind: "stopped" }, 3);
    expect(await readNodeStatus(layout.directory)).toMatchObject({ reported: { unacknowledged: 3 } });
    const text = await readFile(layout.status, "utf8");
    await flip(layout.status, text.indexOf("3", text.indexOf("unacknowledged")));
    const status = await readNodeStatus(layout.directory);
    expect(status).toMatchObject({ isReportDamaged: true });
    expect(status.reported).toBeUndefined();
  });
});
