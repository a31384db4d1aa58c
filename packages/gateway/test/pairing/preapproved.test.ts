import { formatOwnCode, KeyPair, ownCodeIdOf, parseTicket, Secret } from "@quaymesh/identity";
import { describe, expect, test, vi } from "vitest";
import { GatewayError } from "../../src/errors.ts";
import type { OpenedWindow } from "../../src/pairing/service.ts";
import { Follower, TestNode, ticketOf } from "./node.ts";
import { addressOf, freeze, openRoom, type PairingRoom } from "./room.ts";

const link = (window: OpenedWindow): string => window.link?.reveal() ?? "";

/** A node that comes with a window's ticket, wherever the endpoint is by now. */
async function come(room: PairingRoom, window: OpenedWindow, keyPair?: KeyPair, deaf = false): Promise<TestNode> {
  const options = { deaf, ...(keyPair && { keyPair }) };
  return await TestNode.dial(addressOf(room), ticketOf(link(window)).code, options);
}

/** The device that has a certificate waiting for it. */
async function issuedTo(room: PairingRoom): Promise<string> {
  const issued = vi.waitUntil(async () => (await room.store.pairing.requests(["issued"]))[0]?.deviceId);
  return (await issued) ?? "";
}

describe("a pre-approved window", () => {
  test("lets its devices in with nobody watching, writes down that nobody was asked, and ends with the last", async () => {
    await using room = await openRoom();
    const window = await room.open({ preapproved: true, uses: 2, labels: ["gpu"], purpose: "farm", ttlMs: 86_400_000 });
    expect(await room.desk.windows()).toMatchObject([
      { windowId: window.windowId, codes: ["ticket"], preapproved: true, uses: 2, usesLeft: 2, labels: ["gpu"] },
    ]);
    const follower = new Follower(room.desk.watch(window.windowId));
    for (const at of [1, 2]) {
      await using node = await come(room, window);
      const { deviceId } = await node.until("paired");
      expect(await room.store.pairing.window(window.windowId)).toMatchObject({ usesLeft: 2 - at });
      expect(await room.store.devices.get(deviceId)).toMatchObject({ labels: ["gpu"], purpose: "farm" });
      room.online(deviceId);
    }
    await follower.done;
    expect(follower.states).toContain("used");
    expect(follower.updates.filter(({ state }) => state === "issued")).toMatchObject([
      { request: { preapproved: true } },
      { request: { preapproved: true } },
    ]);
    expect(await room.desk.requests()).toMatchObject([{ preapproved: true }, { preapproved: true }]);
    expect(await room.desk.windows()).toEqual([]);
    await expect.poll(() => room.store.pairing.window(window.windowId)).toMatchObject({ sealedCode: undefined });
  });

  test("outlives a restart with the uses that are left, and nothing else does", async () => {
    await using room = await openRoom();
    const lasting = await room.open({ preapproved: true, uses: 2 });
    const watched = await room.open();
    await using first = await come(room, lasting);
    room.online((await first.until("paired")).deviceId);
    await room.restart();
    expect(await room.desk.windows()).toMatchObject([{ windowId: lasting.windowId, uses: 2, usesLeft: 1 }]);
    await using second = await come(room, lasting);
    const { deviceId } = await second.until("paired");
    expect(await room.store.devices.list()).toHaveLength(2);
    room.online(deviceId);
    await expect.poll(() => room.store.pairing.window(lasting.windowId)).toMatchObject({ state: "used", usesLeft: 0 });
    expect(await room.store.pairing.window(watched.windowId)).toMatchObject({ state: "closed" });
    await room.restart();
    expect(room.desk.isOpen).toBe(false);
  });

  test("that another issuing key sealed, or that has run out, is not taken up", async () => {
    await using room = await openRoom();
    const window = await room.open({ preapproved: true });
    const row = await room.store.pairing.window(window.windowId);
    if (row === undefined) throw new Error("no row");
    const secret = parseTicket(link(window), { now: Date.now() }).secret.reveal();
    expect(Buffer.from(row.sealedCode ?? []).includes(Buffer.from(secret))).toBe(false);
    await room.store.pairing.putWindow({
      ...row,
      sealedCode: row.sealedCode?.map((byte, at) => (at > 40 ? byte ^ 1 : byte)),
    });
    await room.restart();
    expect(room.desk.isOpen).toBe(false);
    expect(await room.store.pairing.window(window.windowId)).toMatchObject({ state: "closed" });
    await room.store.pairing.putWindow({ ...row, expiresAt: Date.now() - 1 });
    await room.restart();
    expect(await room.store.pairing.window(window.windowId)).toMatchObject({ state: "expired" });
  });

  test("lets in no more than it has uses when many come at once", async () => {
    await using room = await openRoom({ limits: { attempts: { sourceBurst: 100 } } });
    const window = await room.open({ preapproved: true, uses: 2 });
    const nodes = await Promise.all([1, 2, 3, 4, 5].map(() => come(room, window)));
    const answers = await Promise.allSettled(nodes.map((node) => node.until("paired")));
    expect(answers.filter(({ status }) => status === "fulfilled")).toHaveLength(2);
    expect(await room.store.devices.list()).toHaveLength(2);
    for (const node of nodes) await node[Symbol.asyncDispose]();
  });

  test("does not let a revoked device back in, with the key it had last or with one before", async () => {
    await using room = await openRoom({ limits: { attempts: { sourceBurst: 100 } } });
    const keys = [await KeyPair.generate(), await KeyPair.generate()];
    const first = await room.open({ preapproved: true, name: "laptop" });
    await using paired = await come(room, first, keys[0]);
    const { deviceId } = await paired.until("paired");
    const again = await room.open({ preapproved: true, device: deviceId });
    await using repaired = await come(room, again, keys[1]);
    expect((await repaired.until("paired")).deviceId).toBe(deviceId);
    await room.store.devices.revoke({ deviceId, receiptId: "r", reason: "lost", now: Date.now() });
    const window = await room.open({ preapproved: true, uses: 5 });
    for (const key of keys) {
      await using node = await come(room, window, key);
      await expect(node.until("paired")).rejects.toThrow("DEVICE_REVOKED");
    }
    await expect(room.open({ preapproved: true, device: deviceId })).rejects.toMatchObject({ code: "DEVICE_REVOKED" });
    expect(await room.store.devices.get(deviceId)).toMatchObject({ revoked: true });
    expect(await room.store.pairing.window(window.windowId)).toMatchObject({ usesLeft: 5 });
    // With a key of its own making it is another device, and takes a use as any other.
    await using fresh = await come(room, window);
    expect((await fresh.until("paired")).deviceId).not.toBe(deviceId);
  });

  test("is over for everybody once a device that came through it is revoked: it knows the code, and a new key is soon made", async () => {
    await using room = await openRoom({ limits: { attempts: { sourceBurst: 100 } } });
    const [window, other] = [await room.open({ preapproved: true, uses: 5 }), await room.open({ preapproved: true })];
    await using first = await come(room, window);
    const { deviceId } = await first.until("paired");
    const revoke = () => room.store.devices.revoke({ deviceId, receiptId: "r", reason: "stolen", now: Date.now() });
    const windowsClosed = [window.windowId];
    expect((await revoke()).receipt).toMatchObject({ windowsClosed });
    expect(await revoke()).toMatchObject({ repeated: true, receipt: { windowsClosed } });
    expect(await room.store.pairing.window(window.windowId)).toMatchObject({
      state: "closed",
      sealedCode: undefined,
    });
    expect(await room.desk.windows()).toMatchObject([{ windowId: other.windowId, usesLeft: 1 }]);
    await using back = await come(room, window);
    await expect(back.until("paired")).rejects.toThrow("PAIR_UNAVAILABLE");
    expect(await room.store.devices.list()).toHaveLength(1);
    await room.restart();
    expect(await room.desk.windows()).toMatchObject([{ windowId: other.windowId }]);
  });

  test("does not put a frozen device's place in the hands of another key: that is an operator's to decide", async () => {
    await using room = await openRoom({ limits: { attempts: { sourceBurst: 100 } } });
    await using paired = await come(room, await room.open({ preapproved: true }));
    const { deviceId } = await paired.until("paired");
    const again = await room.open({ preapproved: true, device: deviceId });
    await freeze(room.store, deviceId);
    expect((await room.store.devices.get(deviceId))?.frozenAt).toBeDefined();
    await using thief = await come(room, again);
    await expect(thief.until("paired")).rejects.toThrow("PAIR_UNAVAILABLE");
    expect((await room.store.devices.get(deviceId))?.frozenAt).toBeDefined();
    expect(await room.store.pairing.window(again.windowId)).toMatchObject({ usesLeft: 1 });
  });

  test.each([1, 2])(
    "of %i uses gives a device whose answer a restart swallowed that answer, and takes no use for it",
    async (uses) => {
      await using room = await openRoom({ limits: { attempts: { sourceBurst: 100 } } });
      const window = await room.open({ preapproved: true, uses });
      const key = await KeyPair.generate();
      const first = await come(room, window, key, true);
      const deviceId = await issuedTo(room);
      await room.restart();
      await first[Symbol.asyncDispose]();
      await using stranger = uses === 1 ? undefined : await come(room, window);
      await stranger?.until("paired");
      await using back = await come(room, window, key);
      expect((await back.until("paired")).deviceId).toBe(deviceId);
      expect(await room.store.pairing.window(window.windowId)).toMatchObject({ usesLeft: 0 });
      expect(await room.store.devices.list()).toHaveLength(uses);
    },
  );

  test("of which the last use waits for its device is nobody else's after a restart, and over once that one is seen", async () => {
    await using room = await openRoom({ limits: { attempts: { sourceBurst: 100 } } });
    const window = await room.open({ preapproved: true });
    const first = await come(room, window, undefined, true);
    const deviceId = await issuedTo(room);
    await room.restart();
    await first[Symbol.asyncDispose]();
    await using stranger = await come(room, window);
    await expect(stranger.until("paired")).rejects.toThrow("PAIR_CODE_INVALID");
    expect(await room.store.devices.list()).toHaveLength(1);
    room.online(deviceId);
    await expect.poll(() => room.store.pairing.window(window.windowId)).toMatchObject({ state: "used" });
    expect(room.desk.isOpen).toBe(false);
  });

  test("lets nobody in while the gateway is older than what its nodes have seen", async () => {
    let behind = false;
    const refusing = () => (behind ? new GatewayError("STORE_BEHIND", "older") : undefined);
    await using room = await openRoom({ refusing });
    const window = await room.open({ preapproved: true });
    behind = true;
    await using early = await come(room, window);
    await expect(early.until("paired")).rejects.toThrow("PAIR_UNAVAILABLE");
    expect(await room.store.devices.list()).toEqual([]);
    behind = false;
    await using late = await come(room, window);
    await late.until("paired");
  });

  test("has no PIN, one name at most, and no use beyond its bounds", async () => {
    await using room = await openRoom();
    for (const wrong of [
      { preapproved: true, code: "pin" },
      { preapproved: true, code: "both" },
      { uses: 2 },
      { preapproved: true, uses: 2, name: "build-box" },
      { preapproved: true, uses: 0 },
      { preapproved: true, uses: 1001 },
      { preapproved: true, ttlMs: 604_800_001 },
      { code: "node", nodeCode: "QUAYNODE:AAAA" },
    ] as const) {
      await expect(room.open(wrong)).rejects.toMatchObject({ code: "WINDOW_INVALID" });
    }
  });
});

describe("a window with both codes", () => {
  test("opens to either, and another beside it has a ticket alone", async () => {
    await using room = await openRoom();
    const window = await room.open({ code: "both" });
    const beside = await room.open({ code: "both" });
    expect([window.link, window.pin, beside.link].every((code) => code !== undefined)).toBe(true);
    expect(beside.pin).toBeUndefined();
    expect(await room.desk.windows()).toMatchObject([{ codes: ["ticket"] }, { codes: ["ticket", "pin"] }]);
    const follower = new Follower(room.desk.watch(window.windowId));
    const pin = window.pin;
    if (pin === undefined) throw new Error("no PIN");
    await using node = await TestNode.dial(addressOf(room), { kind: "pin", pin });
    await room.desk.approve((await follower.until("pending")).request?.requestId ?? "");
    await node.until("paired");
    await using late = await TestNode.dial(addressOf(room), ticketOf(link(window)).code);
    await expect(late.until("show-words")).rejects.toThrow("PAIR_CODE_INVALID");
  });
});

describe("a window for a code that a node shows", () => {
  test("lets in that node alone, after an approval, and can be opened again where nothing came of it", async () => {
    await using room = await openRoom({ limits: { attempts: { sourceBurst: 100 } } });
    const keyPair = await KeyPair.generate();
    const secret = new Secret(new Uint8Array(16).fill(7));
    const code = { kind: "node", codeId: ownCodeIdOf(secret), secret } as const;
    const nodeCode = formatOwnCode({ spkiSha256: keyPair.spkiSha256, secret });
    const first = await room.open({ code: "node", nodeCode });
    expect([first.link, first.pin]).toEqual([undefined, undefined]);
    expect(await room.desk.windows()).toMatchObject([{ codes: ["node"] }]);
    await room.desk.close(first.windowId);
    const window = await room.open({ code: "node", nodeCode, name: "attic" });
    const follower = new Follower(room.desk.watch(window.windowId));
    await using thief = await TestNode.dial(addressOf(room), code);
    await expect(thief.until("show-words")).rejects.toThrow("PAIR_CLOSED");
    await using node = await TestNode.dial(addressOf(room), code, { keyPair });
    const { words } = await node.until("show-words");
    const pending = await follower.until("pending");
    expect(pending.request).toMatchObject({ name: "attic", words, preapproved: false });
    await room.desk.approve(pending.request?.requestId ?? "");
    await node.until("paired");
  });
});
