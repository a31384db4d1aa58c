import { expect, test } from "vitest";
import { gatewayLogger } from "../src/gateway-logger.ts";
import { fakeTerminal } from "./support.ts";

test("people read measurements with one decimal, everything else as it is, and nothing below their level", async () => {
  const { terminal, stderr } = fakeTerminal();
  const logger = await gatewayLogger(terminal, { json: false, log: "warn" });
  logger.info({}, "nobody reads this");
  logger.warn({ device: "D", sessions: 12, closedMs: 30.239065999994637, reason: 'a "b"' }, "device revoked");
  logger.error({ error: new Error("the disk is full") }, "failed");
  const lines = stderr.text.trimEnd().split("\n");
  expect(lines.map((line) => line.slice("00:00:00.000 ".length))).toEqual([
    'warn  device revoked  device="D"  sessions=12  closedMs=30.2  reason="a \\"b\\""',
    "error failed  error=the disk is full",
  ]);
});
