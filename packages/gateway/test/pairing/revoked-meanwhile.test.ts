import { KeyPair } from "@quaymesh/identity";
import { expect, test, vi } from "vitest";
import { silentLogger } from "../../src/logger.ts";
import { Follower, TestNode, ticketOf } from "./node.ts";
import { openRoom } from "./room.ts";

test("a device that is revoked before its approval is written is told so, as is its operator, and nothing went wrong", async () => {
  const error = vi.fn();
  await using room = await openRoom({ logger: { ...silentLogger, error } });
  const keyPair = await KeyPair.generate();
  const come = async () => {
    const window = await room.open({ name: "laptop" });
    const { code, address } = ticketOf(window.link?.reveal() ?? "");
    const follower = new Follower(room.desk.watch(window.windowId));
    const node = await TestNode.dial(address, code, { keyPair });
    const { request } = await follower.until("pending");
    return { follower, node, requestId: request?.requestId ?? "" };
  };
  const first = await come();
  await using _first = first.node;
  await room.desk.approve(first.requestId);
  const { deviceId } = await first.node.until("paired");
  const again = await come();
  await using _again = again.node;
  await room.store.devices.revoke({ deviceId, receiptId: "r", reason: "lost", now: Date.now() });
  await expect(room.desk.approve(again.requestId)).rejects.toMatchObject({ code: "DEVICE_REVOKED" });
  await expect(again.node.until("paired")).rejects.toThrow("DEVICE_REVOKED");
  const holder = { deviceId, name: "laptop", state: "revoked" };
  expect(await again.follower.until("attempt-failed")).toMatchObject({ reason: "DEVICE_REVOKED", holder });
  await expect.poll(() => room.store.pairing.request(again.requestId)).toMatchObject({ state: "expired" });
  expect(error).not.toHaveBeenCalled();
});
