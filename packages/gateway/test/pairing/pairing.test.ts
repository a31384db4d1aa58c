import { KeyPair, Secret } from "@quaymesh/identity";
import { encodeFrame, MessageStream, parsePairToNode, type RemoteError } from "@quaymesh/protocol";
import { describe, expect, test } from "vitest";
import type { OpenedWindow } from "../../src/pairing/service.ts";
import { Follower, TestNode, ticketOf } from "./node.ts";
import { addressOf, freeze, openRoom } from "./room.ts";
import { tcpTransport } from "./tcp-transport.ts";

/** The text of a window's ticket, or its PIN. */
function shown({ link, pin }: OpenedWindow): string {
  return (link ?? pin)?.reveal() ?? "";
}

describe("pairing through the endpoint's process", () => {
  test("a ticket, a proof, the same words on both sides, an approval, a certificate, a first session", async () => {
    await using room = await openRoom();
    const window = await room.open({ name: "build-box", labels: ["gpu"], purpose: "builds" });
    const { code, address } = ticketOf(shown(window));
    const follower = new Follower(room.desk.watch(window.windowId));
    await using node = await TestNode.dial(address, code);
    const words = await node.until("show-words");
    const pending = await follower.until("pending");
    expect(pending.request?.words).toEqual(words.words);
    expect(pending.request).toMatchObject({ name: "build-box", platform: "linux x64", deviceId: undefined });
    expect(pending.remoteAddress).toMatch(/^127\.0\.0\.1:\d+$/u);
    const requestId = pending.request?.requestId ?? "";
    expect(await room.desk.requests()).toMatchObject([{ requestId, state: "pending" }]);
    const approved = await room.desk.approve(requestId);
    expect(approved.state).toBe("issued");
    const { deviceId } = await node.until("paired");
    expect(deviceId).toBe(approved.deviceId);
    room.online(deviceId);
    await follower.done;
    expect(follower.states).toEqual(["open", "claimed", "pending", "approved", "issued", "active"]);
    const device = await room.store.devices.get(deviceId);
    expect(device).toMatchObject({ name: "build-box", labels: ["gpu"], purpose: "builds", revoked: false });
    expect(room.desk.isOpen).toBe(false);
    await expect.poll(() => room.desk.requests()).toMatchObject([{ state: "active", deviceId }]);
  });

  test("an operator is told whose key it is that asks: of a device, of one that is frozen, of one that was revoked", async () => {
    await using room = await openRoom({ limits: { attempts: { sourceBurst: 100 } } });
    const keyPair = await KeyPair.generate();
    const ask = async () => {
      const window = await room.open({ name: "laptop" });
      const { code, address } = ticketOf(shown(window));
      const follower = new Follower(room.desk.watch(window.windowId));
      return { follower, node: await TestNode.dial(address, code, { keyPair }) };
    };
    const first = await ask();
    await using _first = first.node;
    const { request } = await first.follower.until("pending");
    expect(request?.holder).toBeUndefined();
    await room.desk.approve(request?.requestId ?? "");
    const { deviceId } = await first.node.until("paired");
    const known = { deviceId, name: "laptop", state: "paired" };

    const again = await ask();
    await using _again = again.node;
    expect((await again.follower.until("pending")).request?.holder).toEqual(known);
    expect((await room.desk.requests())[0]?.holder).toEqual(known);
    await room.desk.deny((await room.desk.requests())[0]?.requestId ?? "");

    await freeze(room.store, deviceId);
    const frozen = await ask();
    await using _frozen = frozen.node;
    const pending = (await frozen.follower.until("pending")).request;
    expect(pending?.holder).toEqual({ ...known, state: "frozen" });
    expect((await room.store.devices.get(deviceId))?.frozenAt).toBeDefined();
    await room.desk.approve(pending?.requestId ?? "");
    expect((await frozen.node.until("paired")).deviceId).toBe(deviceId);
    expect((await room.store.devices.get(deviceId))?.frozenAt).toBeUndefined();

    await room.store.devices.revoke({ deviceId, receiptId: "r", reason: "lost", now: Date.now() });
    const revoked = await ask();
    await using _revoked = revoked.node;
    const refused = await revoked.follower.until("attempt-failed");
    expect(refused).toMatchObject({ reason: "DEVICE_REVOKED", holder: { ...known, state: "revoked" } });
    await expect(revoked.node.until("paired")).rejects.toThrow("DEVICE_REVOKED");
  });

  test("an 8-digit PIN does the same, one window at a time", async () => {
    await using room = await openRoom();
    const window = await room.open({ code: "pin" });
    await expect(room.open({ code: "pin" })).rejects.toMatchObject({ code: "WINDOW_LIMIT" });
    expect(shown(window)).toMatch(/^\d{8}$/u);
    const pin = new Secret(shown(window));
    const follower = new Follower(room.desk.watch(window.windowId));
    await using node = await TestNode.dial(addressOf(room), { kind: "pin", pin });
    const pending = await follower.until("pending");
    expect(pending.request?.name).toBe("own-name");
    await room.desk.approve(pending.request?.requestId ?? "");
    await node.until("paired");
  });

  test("nobody is let in without an approval, and a denial is told", async () => {
    await using room = await openRoom();
    const window = await room.open();
    const { code, address } = ticketOf(shown(window));
    const follower = new Follower(room.desk.watch(window.windowId));
    await using node = await TestNode.dial(address, code);
    const pending = await follower.until("pending");
    const requestId = pending.request?.requestId ?? "";
    const denied = await room.desk.deny(requestId);
    expect(denied.state).toBe("denied");
    await expect(node.until("paired")).rejects.toThrow("PAIR_DENIED");
    await follower.done;
    expect(follower.states).toEqual(["open", "claimed", "pending", "denied"]);
    await expect(room.desk.approve(requestId)).rejects.toMatchObject({ code: "REQUEST_NOT_PENDING" });
    await expect(room.desk.approve("nonsense")).rejects.toMatchObject({ code: "REQUEST_NOT_FOUND" });
    expect(await room.store.devices.list()).toEqual([]);
  });

  test("an approval counts once, however many operators give it", async () => {
    await using room = await openRoom();
    const window = await room.open();
    const { code, address } = ticketOf(shown(window));
    const follower = new Follower(room.desk.watch(window.windowId));
    await using node = await TestNode.dial(address, code);
    const requestId = (await follower.until("pending")).request?.requestId ?? "";
    const results = await Promise.allSettled([
      room.desk.approve(requestId),
      room.desk.approve(requestId),
      room.desk.deny(requestId),
    ]);
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected"]);
    await node.until("paired");
    expect(await room.store.devices.list()).toHaveLength(1);
  });

  test("three wrong proofs burn the code; each is on disk, and the right code then helps nobody", async () => {
    await using room = await openRoom();
    const window = await room.open();
    const { code, address } = ticketOf(shown(window));
    const follower = new Follower(room.desk.watch(window.windowId));
    for (let guess = 0; guess < 3; guess += 1) {
      const wrong = { ...code, secret: new Secret(new Uint8Array(16).fill(guess)) };
      await using node = await TestNode.dial(address, wrong);
      await expect(node.until("show-words")).rejects.toThrow("PAIR_CODE_INVALID");
    }
    await follower.done;
    expect(follower.states).toEqual([
      "open",
      "claimed",
      "attempt-failed PAIR_CODE_INVALID",
      "claimed",
      "attempt-failed PAIR_CODE_INVALID",
      "claimed",
      "attempt-failed PAIR_CODE_INVALID",
      "burnt",
    ]);
    await expect.poll(() => room.store.pairing.window(window.windowId)).toMatchObject({ state: "burnt", failures: 3 });
    expect(await room.store.pairing.countFailures({ secret: "ticket", hourAgo: 0, dayAgo: 0 })).toEqual({
      hour: 3,
      day: 3,
    });
  });

  test("wrong proofs still count after a restart", async () => {
    await using room = await openRoom({ limits: { attempts: { ticketFailuresPerHour: 1 } } });
    const first = await room.open();
    const { code, address } = ticketOf(shown(first));
    const wrong = { ...code, secret: new Secret(new Uint8Array(16)) };
    await using guesser = await TestNode.dial(address, wrong);
    await expect(guesser.until("show-words")).rejects.toThrow("PAIR_CODE_INVALID");
    await room.restart();
    expect(await room.store.pairing.window(first.windowId)).toMatchObject({ state: "closed" });
    const second = await room.open();
    const ticket = ticketOf(shown(second));
    await using honest = await TestNode.dial(ticket.address, ticket.code);
    await expect(honest.until("show-words")).rejects.toThrow("PAIR_RATE_LIMITED");
  });

  test("wrong PINs use up their budget, also over a restart, and a ticket is let in all the same", async () => {
    await using room = await openRoom({ limits: { attempts: { failuresPerHour: 1 } } });
    await room.open({ code: "pin" });
    await using guesser = await TestNode.dial(addressOf(room), { kind: "pin", pin: new Secret("not it!!") });
    await expect(guesser.until("show-words")).rejects.toThrow("PAIR_CODE_INVALID");
    for (const restarted of [false, true]) {
      if (restarted) {
        await room.restart();
        await room.open({ code: "pin" });
      }
      await using honest = await TestNode.dial(addressOf(room), { kind: "pin", pin: new Secret("00000000") });
      await expect(honest.until("show-words")).rejects.toThrow("PAIR_RATE_LIMITED");
      await room.open();
      const ticket = ticketOf(shown(await room.open()));
      await using other = await TestNode.dial(ticket.address, ticket.code);
      await other.until("show-words");
    }
  });

  test("a proof that was right counts for nothing, also after a restart", async () => {
    await using room = await openRoom({ limits: { attempts: { ticketFailuresPerHour: 1 } } });
    const { code, address } = ticketOf(shown(await room.open()));
    await using node = await TestNode.dial(address, code);
    await node.until("show-words");
    await room.restart();
    expect(await room.store.pairing.countFailures({ secret: "ticket", hourAgo: 0, dayAgo: 0 })).toEqual({
      hour: 0,
      day: 0,
    });
    const again = ticketOf(shown(await room.open()));
    await using next = await TestNode.dial(again.address, again.code);
    await next.until("show-words");
  });

  test("closing a window turns away who is in it", async () => {
    await using room = await openRoom();
    const window = await room.open();
    const { code, address } = ticketOf(shown(window));
    const follower = new Follower(room.desk.watch(window.windowId));
    await using node = await TestNode.dial(address, code);
    await follower.until("pending");
    await room.desk.close(window.windowId);
    await expect(node.until("paired")).rejects.toThrow("PAIR_DENIED");
    await follower.done;
    expect(follower.states.at(-1)).toBe("closed");
    await expect(room.desk.close("nonsense")).rejects.toMatchObject({ code: "WINDOW_NOT_FOUND" });
  });

  test("a device that lost the answer gets the same certificate again", async () => {
    await using room = await openRoom();
    const window = await room.open();
    const { code, address } = ticketOf(shown(window));
    const keyPair = await KeyPair.generate();
    const follower = new Follower(room.desk.watch(window.windowId));
    await using first = await TestNode.dial(address, code, { keyPair });
    const requestId = (await follower.until("pending")).request?.requestId ?? "";
    await first[Symbol.asyncDispose]();
    const approved = await room.desk.approve(requestId);
    await using again = await TestNode.dial(address, ticketOf(shown(window)).code, { keyPair });
    const { issued } = await again.until("store");
    expect(issued.deviceId).toBe(approved.deviceId);
    const [certificate] = await room.store.devices.certificates(issued.deviceId);
    expect(issued.chain.map((der) => Buffer.from(der))).toEqual(certificate?.chain.map((der) => Buffer.from(der)));
    expect(await room.store.devices.list()).toHaveLength(1);
  });

  test("a device that lost its key is paired again as the same device, and keeps its name and labels", async () => {
    await using room = await openRoom();
    const pairThrough = async (options: Parameters<typeof room.open>[0], keyPair?: KeyPair) => {
      const window = await room.open(options);
      const { code, address } = ticketOf(shown(window));
      const follower = new Follower(room.desk.watch(window.windowId));
      const node = await TestNode.dial(address, code, keyPair === undefined ? {} : { keyPair });
      const requestId = (await follower.until("pending")).request?.requestId ?? "";
      return { node, requestId, windowId: window.windowId };
    };
    const first = await pairThrough({ name: "build-box", labels: ["gpu"], purpose: "builds" });
    const { deviceId } = await room.desk.approve(first.requestId);
    await first.node.until("paired");
    const again = await pairThrough({ device: "build-box" });
    expect((await room.desk.approve(again.requestId)).deviceId).toBe(deviceId);
    expect((await again.node.until("paired")).deviceId).toBe(deviceId);
    const devices = await room.store.devices.list();
    expect(devices).toMatchObject([{ deviceId, name: "build-box", labels: ["gpu"], purpose: "builds" }]);
    const certificates = await room.store.devices.certificates(deviceId ?? "");
    expect(certificates.map(({ state }) => state).toSorted()).toEqual(["active", "retired"]);
    expect(new Set(certificates.map(({ spkiSha256 }) => spkiSha256)).size).toBe(2);
    for (const { node } of [first, again]) await node[Symbol.asyncDispose]();
  });

  test("a window for one device does not take another's key", async () => {
    await using room = await openRoom();
    const keys = [await KeyPair.generate(), await KeyPair.generate()];
    for (const [at, keyPair] of keys.entries()) {
      const window = await room.open({ name: `device-${at}` });
      const { code, address } = ticketOf(shown(window));
      const follower = new Follower(room.desk.watch(window.windowId));
      await using node = await TestNode.dial(address, code, { keyPair });
      await room.desk.approve((await follower.until("pending")).request?.requestId ?? "");
      await node.until("paired");
    }
    const window = await room.open({ device: "device-0" });
    const { code, address } = ticketOf(shown(window));
    const follower = new Follower(room.desk.watch(window.windowId));
    await using _node = await TestNode.dial(address, code, keys[1] === undefined ? {} : { keyPair: keys[1] });
    const requestId = (await follower.until("pending")).request?.requestId ?? "";
    await expect(room.desk.approve(requestId)).rejects.toMatchObject({ code: "DEVICE_KEY_KNOWN" });
    expect(await room.desk.deny(requestId)).toMatchObject({ state: "denied" });
    await expect(room.open({ device: "nobody" })).rejects.toMatchObject({ code: "DEVICE_NOT_FOUND" });
  });

  test("a name that would move the terminal's cursor does not reach the operator", async () => {
    await using room = await openRoom();
    const window = await room.open();
    const { code, address } = ticketOf(shown(window));
    const follower = new Follower(room.desk.watch(window.windowId));
    await using node = await TestNode.dial(address, code, { name: "a\u001b[2Jb\u202e" });
    expect((await follower.until("pending")).request?.name).toBe("a\u{fffd}[2Jb\u{fffd}");
    expect(node.effects).not.toHaveLength(0);
  });

  test("a window nobody comes to expires, and its port closes", async () => {
    await using room = await openRoom();
    const window = await room.open({ ttlMs: 1 });
    const follower = new Follower(room.desk.watch(window.windowId));
    await follower.done;
    expect(follower.states).toEqual(["open", "expired"]);
    expect(room.endpoint.pid).toBeUndefined();
    await expect.poll(() => room.store.pairing.window(window.windowId)).toMatchObject({ state: "expired" });
  });

  test("a request nobody decides is denied by time, and both sides are told", async () => {
    await using room = await openRoom({ limits: { attempts: { approvalMs: 400 } } });
    const window = await room.open();
    const { code, address } = ticketOf(shown(window));
    const follower = new Follower(room.desk.watch(window.windowId));
    await using node = await TestNode.dial(address, code);
    await expect(node.until("paired")).rejects.toThrow("PAIR_APPROVAL_TIMEOUT");
    await follower.done;
    expect(follower.states).toEqual(["open", "claimed", "pending", "expired PAIR_APPROVAL_TIMEOUT"]);
    const { request } = follower.updates.at(-1) ?? {};
    await expect(room.desk.approve(request?.requestId ?? "")).rejects.toMatchObject({ code: "REQUEST_NOT_PENDING" });
    expect(await room.store.devices.list()).toEqual([]);
  });

  test("a window is told from its beginning to whoever comes, also after a restart", async () => {
    await using room = await openRoom();
    const window = await room.open();
    await room.desk.close(window.windowId);
    const late = new Follower(room.desk.watch(window.windowId));
    await late.done;
    expect(late.states).toEqual(["open", "closed"]);
    await room.restart();
    const later = new Follower(room.desk.watch(window.windowId));
    await later.done;
    expect(later.states).toEqual(["closed"]);
    await expect(new Follower(room.desk.watch("nonsense")).done).rejects.toMatchObject({ code: "WINDOW_NOT_FOUND" });
  });

  test("a guess that cannot be written down is not judged", async () => {
    await using room = await openRoom();
    const window = await room.open();
    const { code, address } = ticketOf(shown(window));
    await room.store.close();
    await using node = await TestNode.dial(address, code);
    await expect(node.until("show-words")).rejects.toThrow("PAIR_UNAVAILABLE");
  });

  test("a peer that breaks the protocol is told so, and changes nothing for the next", async () => {
    await using room = await openRoom();
    const window = await room.open();
    const { code, address } = ticketOf(shown(window));
    const key = new Uint8Array(32);
    const dial = async () =>
      await tcpTransport(key).dial(address, {
        protocol: "quaymesh-pair/1",
        serverName: "",
        credentials: { keyPem: "", chainPem: "" },
        trust: { kind: "judged", authorize: () => ({ kind: "accept" }) },
      });
    const answers: unknown[] = [];
    for (const body of [
      { v: 2, method: "pair" },
      { v: 1, method: "session.open" },
      { v: 1, method: "pair" },
    ]) {
      await using connection = await dial();
      const stream = new MessageStream(await connection.openStream());
      await stream.sendFrame(encodeFrame(body));
      answers.push(await stream.receive(parsePairToNode).catch((error: RemoteError) => error.code));
    }
    expect(answers).toEqual(["PAIR_VERSION", "METHOD_UNKNOWN", "MESSAGE_INVALID"]);
    await using flood = await dial();
    const stream = await flood.openStream();
    // A frame of 4097 bytes: refused by its header.
    await stream.write(Uint8Array.of(0, 0, 0x10, 0x01));
    expect(await new MessageStream(stream).receive(parsePairToNode).catch((error: RemoteError) => error.code)).toBe(
      "FRAME_TOO_LARGE",
    );
    await using node = await TestNode.dial(address, code);
    await node.until("show-words");
  });

  test("what an operator asks for is checked before a window opens", async () => {
    await using room = await openRoom();
    for (const wrong of [
      { name: "x".repeat(65) },
      { name: "a\nb" },
      { labels: ["UPPER"] },
      { labels: Array.from({ length: 33 }, (_, at) => `l${at}`) },
      { purpose: "\u0007" },
      { ttlMs: 3_600_001 },
    ]) {
      await expect(room.open(wrong)).rejects.toMatchObject({ code: "WINDOW_INVALID" });
    }
    expect(room.endpoint.pid).toBeUndefined();
  });
});
