/** Stories that end while the store takes nothing: they are over all the same, and on disk as soon as it takes them. */
import { expect, test, vi } from "vitest";
import { systemClock, type Clock } from "../../src/clock.ts";
import { GatewayError } from "../../src/errors.ts";
import { Follower, TestNode, ticketOf } from "./node.ts";
import { openRoom, type PairingRoom } from "./room.ts";

/** What the clock holds back until it is told. */
function heldClock() {
  const held: (() => void)[] = [];
  const after: Clock["after"] = (delayMs, run) => {
    if (delayMs !== 5000) return systemClock.after(delayMs, run);
    held.push(run);
    return () => undefined;
  };
  return { clock: { ...systemClock, after }, retry: () => held.splice(0).forEach((run) => run()) };
}

function fullDisk({ store }: PairingRoom) {
  const full = () => Promise.reject(new GatewayError("STORE_FULL", "the disk is full"));
  const writes = [
    vi.spyOn(store.pairing, "moveRequest").mockImplementation(full),
    vi.spyOn(store.pairing, "moveWindow").mockImplementation(full),
    vi.spyOn(store.devices, "enroll").mockImplementation(full),
  ];
  return {
    end: () => {
      for (const write of writes) write.mockRestore();
    },
  };
}

test("a request whose device cannot be enrolled does not stay live: it ends on disk once the disk has room", async () => {
  const { clock, retry } = heldClock();
  await using room = await openRoom({ clock });
  const window = await room.open();
  const { code, address } = ticketOf(window.link?.reveal() ?? "");
  const follower = new Follower(room.desk.watch(window.windowId));
  await using node = await TestNode.dial(address, code);
  const requestId = (await follower.until("pending")).request?.requestId ?? "";
  const disk = fullDisk(room);
  await expect(room.desk.approve(requestId)).rejects.toMatchObject({ code: "STORE_FULL" });
  await expect(node.until("paired")).rejects.toThrow("PAIR_UNAVAILABLE");
  expect(await room.store.pairing.request(requestId)).toMatchObject({ state: "pending" });
  disk.end();
  retry();
  await expect.poll(() => room.store.pairing.request(requestId)).toMatchObject({ state: "expired" });
});

test("a ticket that is cancelled then is over at once, whoever cancels it is told that it is not on disk, and it becomes so", async () => {
  const { clock, retry } = heldClock();
  await using room = await openRoom({ clock });
  const { windowId } = await room.open({ preapproved: true, uses: 5 });
  const disk = fullDisk(room);
  await expect(room.desk.close(windowId)).rejects.toMatchObject({
    code: "STORE_FULL",
    message: expect.stringContaining("a restart reopens it"),
  });
  expect(room.desk.isOpen).toBe(false);
  // Still full: it is tried again, and again.
  retry();
  disk.end();
  await vi.waitUntil(async () => {
    retry();
    return (await room.store.pairing.window(windowId))?.state === "closed";
  });
  await room.restart();
  expect(await room.desk.windows()).toEqual([]);
});
