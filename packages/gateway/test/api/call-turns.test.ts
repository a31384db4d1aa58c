import { mkdtemp, rm } from "node:fs/promises";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { AdminSocket } from "../../src/api/admin-socket.ts";
import { CallTurns } from "../../src/api/call-turns.ts";

/** Below the streams that a connection may have at once. */
const CALLS = 200;

test("a call begins at once where none has in this turn, and of many one in each, connection by connection", async () => {
  const turns = new CallTurns();
  const [flood, other] = [{}, {}];
  const begun: string[] = [];
  for (let call = 0; call < 4; call += 1) turns.take(flood, () => begun.push(`flood ${call}`));
  turns.take(other, () => begun.push("other 0"));
  turns.take(other, () => begun.push("other 1"));
  const after: number[] = [begun.length];
  while (begun.length < 6) {
    await turn();
    after.push(begun.length);
  }
  expect(after).toEqual([1, 2, 3, 4, 5, 6]);
  expect(begun).toEqual(["flood 0", "flood 1", "other 0", "flood 2", "other 1", "flood 3"]);
  await turn();
  turns.take(other, () => begun.push("later"));
  expect(begun.at(-1)).toBe("later");
});

test("a call that throws keeps nobody from beginning", async () => {
  const turns = new CallTurns();
  const begun = Promise.withResolvers<void>();
  const fail = () => {
    throw new Error("a handler failed");
  };
  expect(() => turns.take({}, fail)).toThrow("a handler failed");
  turns.take({}, begun.resolve);
  await begun.promise;
});

test("what comes at once on a connection of HTTP/2 begins in as many turns", async () => {
  const directory = await mkdtemp(join(tmpdir(), "quaymesh-turns-"));
  let turnNow = 0;
  const count = () => {
    turnNow += 1;
    counting = setImmediate(count);
  };
  let counting = setImmediate(count);
  const begunIn: number[] = [];
  const socket = await AdminSocket.listen(join(directory, "admin.sock"), (_request, response) => {
    begunIn.push(turnNow);
    response.end();
  });
  try {
    const session = connectHttp2("http://localhost", { createConnection: () => connect(socket.path) });
    const call = () => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      session.request({ ":path": "/" }).on("error", reject).on("close", resolve).resume().end();
      return promise;
    };
    await Promise.all(Array.from({ length: CALLS }, call));
    session.close();
  } finally {
    clearImmediate(counting);
    await socket.close();
    await rm(directory, { recursive: true, force: true });
  }
  expect(begunIn).toHaveLength(CALLS);
  expect(new Set(begunIn).size).toBe(CALLS);
});
