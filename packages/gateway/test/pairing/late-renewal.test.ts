import { createCsr, KeyPair, readDeviceLeaf } from "@quaymesh/identity";
import { MessageStream, parseRenewReply, RemoteError, type Renewed, type SocketAddress } from "@quaymesh/protocol";
import { describe, expect, test } from "vitest";
import { systemClock, type Clock } from "../../src/clock.ts";
import { GatewayError } from "../../src/errors.ts";
import { TestNode, ticketOf } from "./node.ts";
import { addressOf, openRoom, type PairingRoom } from "./room.ts";
import { tcpTransport } from "./tcp-transport.ts";

const DAY = 86_400_000;
const DEVICE_ID = "01JD0K3X9Y8QZ7V6T5S4R3P2N1";

/** Time that goes on by itself, and in steps. */
function steppingClock(): Clock & { step(ms: number): void } {
  let ahead = 0;
  return {
    ...systemClock,
    now: () => Date.now() + ahead,
    step: (ms) => {
      ahead += ms;
    },
  };
}

/** A device with a certificate of now. */
async function enrol(room: PairingRoom, now = Date.now()): Promise<KeyPair> {
  const key = await KeyPair.generate();
  const leaf = await room.authority.issueDeviceLeaf({
    csr: await createCsr(key),
    deviceId: DEVICE_ID,
    expectedSpkiSha256: key.spkiSha256,
    now,
  });
  const spkiSha256 = Buffer.from(key.spkiSha256).toString("hex");
  const { serial, notBefore, notAfter, chain } = leaf;
  await room.store.devices.enroll({
    deviceId: DEVICE_ID,
    name: "laptop",
    labels: [],
    purpose: "",
    platform: "",
    certificate: {
      serial,
      deviceId: DEVICE_ID,
      spkiSha256,
      notBefore,
      notAfter,
      issuedAt: now,
      state: "active",
      chain,
    },
    now,
  });
  return key;
}

/** Ask with a key, for a key. @returns the answer, or the code it was refused with */
async function ask(address: SocketAddress, key: KeyPair, csrKey = key): Promise<Renewed | string> {
  await using connection = await tcpTransport(key.spkiSha256).dial(address, {
    protocol: "quaymesh-pair/1",
    serverName: "",
    credentials: { keyPem: "", chainPem: "" },
    trust: { kind: "judged", authorize: () => ({ kind: "accept" }) },
  });
  const stream = new MessageStream(await connection.openStream());
  await stream.end({ v: 1, method: "certificate.renew", csr: await createCsr(csrKey) });
  try {
    return await stream.expect(parseRenewReply);
  } catch (cause) {
    if (cause instanceof RemoteError) return cause.code;
    throw cause;
  }
}

function leafOf(answer: Renewed | string) {
  if (typeof answer === "string") throw new Error(answer);
  const leaf = readDeviceLeaf(answer.chain[0] ?? new Uint8Array());
  if (typeof leaf === "string") throw new Error(leaf);
  return leaf;
}

describe("a certificate that has run out", () => {
  test("is renewed for its key while a window is open; asked again, the same one is given, and no other row is made", async () => {
    const clock = steppingClock();
    await using room = await openRoom({ clock });
    const key = await enrol(room);
    clock.step(100 * DAY);
    await room.open();
    const first = await ask(addressOf(room), key);
    expect(leafOf(first)).toMatchObject({ deviceId: DEVICE_ID, spkiSha256: key.spkiSha256 });
    expect(leafOf(first).notAfter).toBeGreaterThan(clock.now() + 29 * DAY);
    expect(leafOf(await ask(addressOf(room), key)).serial).toBe(leafOf(first).serial);
    expect(await room.store.devices.certificates(DEVICE_ID)).toHaveLength(2);
    expect(first).toMatchObject({ time: expect.closeTo(clock.now(), -5) });
  });

  test("is renewed without a window where the door is always open, which pairs nobody", async () => {
    const clock = steppingClock();
    await using room = await openRoom({ clock, door: "always" });
    const key = await enrol(room);
    clock.step(31 * DAY);
    expect(leafOf(await ask(addressOf(room), key)).deviceId).toBe(DEVICE_ID);
    const window = await room.open();
    const { code } = ticketOf(window.link?.reveal() ?? "");
    await room.desk.close(window.windowId);
    await using node = await TestNode.dial(addressOf(room), code);
    await expect(node.until("show-words")).rejects.toThrow("PAIR_CLOSED");
    expect(room.endpoint.pid).toBeDefined();
  });

  test("is not renewed for a stranger, for another key, after a revocation, or too late; the refusal says which", async () => {
    const clock = steppingClock();
    await using room = await openRoom({ clock, door: "always", limits: { attempts: { sourceBurst: 100 } } });
    const key = await enrol(room);
    const address = addressOf(room);
    const stranger = await KeyPair.generate();
    expect(await ask(address, stranger)).toBe("DEVICE_UNKNOWN");
    expect(await ask(address, stranger, key)).toBe("DEVICE_UNKNOWN");
    expect(await ask(address, key, stranger)).toBe("PAIR_KEY_MISMATCH");
    clock.step(30 * DAY + 180 * DAY + 1000);
    expect(await ask(address, key)).toBe("RENEW_TOO_LATE");
    clock.step(-DAY);
    expect(typeof (await ask(address, key))).toBe("object");
    await room.store.devices.revoke({ deviceId: DEVICE_ID, receiptId: "r", reason: "", now: clock.now() });
    expect(await ask(address, key)).toBe("DEVICE_REVOKED");
    expect(await room.store.devices.certificates(DEVICE_ID)).toHaveLength(2);
  });

  test("is not renewed while the gateway is older than what its nodes have seen: it may have forgotten a revocation", async () => {
    const clock = steppingClock();
    let behind = true;
    const refusing = () => (behind ? new GatewayError("STORE_BEHIND", "older") : undefined);
    await using room = await openRoom({ clock, door: "always", refusing });
    const key = await enrol(room);
    clock.step(31 * DAY);
    expect(await ask(addressOf(room), key)).toBe("PAIR_UNAVAILABLE");
    expect(await room.store.devices.certificates(DEVICE_ID)).toHaveLength(1);
    behind = false;
    expect(leafOf(await ask(addressOf(room), key)).deviceId).toBe(DEVICE_ID);
  });

  test("finds a door that is always open with another certificate after half a year", async () => {
    const hourly: (() => void)[] = [];
    const clock = steppingClock();
    const after: Clock["after"] = (delayMs, run) => {
      if (delayMs < 3_600_000) return systemClock.after(delayMs, run);
      hourly.push(run);
      return () => undefined;
    };
    await using room = await openRoom({ clock: { ...clock, after }, door: "always" });
    const [pid, before] = [room.endpoint.pid, room.endpoint.spkiSha256];
    const key = await enrol(room);
    hourly.splice(0).forEach((run) => run());
    expect(room.endpoint.pid).toBe(pid);
    clock.step(184 * DAY);
    hourly.splice(0).forEach((run) => run());
    await expect.poll(() => room.endpoint.pid ?? pid).not.toBe(pid);
    expect(room.endpoint.spkiSha256).not.toEqual(before);
    expect(leafOf(await ask(addressOf(room), key)).deviceId).toBe(DEVICE_ID);
  });
});
