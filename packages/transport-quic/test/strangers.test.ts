import dgram from "node:dgram";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { expect, test } from "vitest";
import type { ListenerRefusal } from "@quaymesh/protocol";
import { Admission } from "../src/admission.ts";
import type { Places } from "../src/admission.ts";
import { loadBinding } from "../src/binding.ts";
import { QuicConnection } from "../src/connection.ts";
import { Counters } from "../src/counters.ts";
import { cryptoFrame, sealInitial } from "./support/initial-packet.ts";
import { accept, ask, openMesh, serveEchoOnAll } from "./support/mesh.ts";

const PING = Buffer.of(0x01);
const empty: Places = { halfOpen: 0, claim: () => "granted" };

const openAdmission = async () => {
  const replies: Buffer[] = [];
  const refused = new Counters<ListenerRefusal>();
  const admission = new Admission(
    {
      binding: await loadBinding(),
      refused: (reason) => refused.add(reason),
      places: empty,
      retry: "auto",
      handshakeBudget: { perSecond: 0, burst: 3 },
      reply: (packet) => void replies.push(Buffer.from(packet)),
    },
    0,
  );
  const from = { address: "192.0.2.7", port: 4000 };
  const hello = (): Buffer => sealInitial({ dcid: randomBytes(8), scid: randomBytes(20), number: 0, frames: PING });
  return {
    replies,
    refused,
    /** A first flight, from a port of its own; whoever sends it may have forged the address. */
    knock: () => admission.admit(hello(), { ...from, port: 1024 + Math.floor(Math.random() * 60_000) }, 0),
    /** Knock, be asked to prove the address, and come back with the token. */
    comeBack: () => {
      const before = replies.length;
      const first = admission.admit(hello(), from, 0);
      if (first !== undefined) throw new Error("admitted without a Retry");
      const retry = replies[before];
      if (retry === undefined) return undefined;
      // Our id follows the client's; the token is what is left but the 16-byte integrity tag (RFC 9000 section 17.2.5).
      const dcid = retry.subarray(27, 47);
      const token = retry.subarray(47, -16);
      const second = sealInitial({ dcid, token, scid: randomBytes(20), number: 1, frames: PING });
      return admission.admit(second, from, 0);
    },
  };
};

test("whoever forges an address uses up its unproved handshakes only, and its owner gets in by Retry", async () => {
  const { knock, comeBack, replies } = await openAdmission();
  for (let index = 0; index < 3; index += 1) expect(knock()).toBeDefined();
  for (let index = 0; index < 100; index += 1) expect(knock()).toBeUndefined();
  expect(replies).toHaveLength(100);
  expect(comeBack()).toMatchObject({ originalDcid: expect.any(Buffer) });
});

test("an address that was proved has a budget too", async () => {
  const { knock, comeBack, refused, replies } = await openAdmission();
  for (let index = 0; index < 3; index += 1) knock();
  expect([0, 1, 2].map(() => comeBack() !== undefined)).toEqual([true, true, true]);
  const before = replies.length;
  expect(comeBack()).toBeUndefined();
  expect(refused.snapshot()).toMatchObject({ budget: 1 });
  // A Retry, and a CONNECTION_CLOSE: whoever proved its address is told that there is no room.
  expect(replies.slice(before).map((packet) => (packet.readUInt8(0) >> 4) & 0b11)).toEqual([3, 0]);
});

test("a proved address that floods is answered at a bounded rate, and its token gets it nothing more", async () => {
  const replies: Buffer[] = [];
  const refused = new Counters<ListenerRefusal>();
  const admission = new Admission(
    {
      binding: await loadBinding(),
      refused: (reason) => refused.add(reason),
      places: { halfOpen: 0, claim: () => "busy" },
      retry: "always",
      handshakeBudget: { perSecond: 64, burst: 256 },
      reply: (packet) => void replies.push(Buffer.from(packet)),
    },
    0,
  );
  const from = { address: "192.0.2.7", port: 4000 };
  const scid = randomBytes(20);
  admission.admit(sealInitial({ dcid: randomBytes(8), scid, number: 0, frames: PING }), from, 0);
  const [retry] = replies.splice(0);
  const token = retry?.subarray(47, -16) ?? Buffer.alloc(0);
  const replayed = sealInitial({ dcid: retry?.subarray(27, 47) ?? scid, token, scid, number: 1, frames: PING });
  for (let index = 0; index < 6000; index += 1) admission.admit(replayed, from, 0);
  expect(refused.snapshot()).toEqual({ retry: 1, busy: 256, budget: 5744 });
  expect(replies).toHaveLength(4000);
  // Ten seconds later it is worth nothing at all.
  admission.admit(replayed, from, 10_001);
  expect(refused.snapshot()).toMatchObject({ token: 1 });
});

test("a stranger's handshake is heard up to a bound, so that what it leaves open cannot fill memory", async () => {
  const mesh = await openMesh({ limits: { handshakeTimeoutMs: 60_000 } });
  const serving = serveEchoOnAll(mesh.listener);
  const node = await mesh.dial();
  const socket = dgram.createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  let heard = 0;
  socket.on("message", () => (heard += 1));
  const ids = { dcid: randomBytes(8), scid: randomBytes(20) };
  const say = async (number: number, frames: Buffer, flip = 0): Promise<void> => {
    const packet = sealInitial({ ...ids, number, frames });
    packet[packet.length - 1] = (packet.at(-1) ?? 0) ^ flip;
    await new Promise((resolve) => {
      socket.send(packet, mesh.listener.address.port, "127.0.0.1", resolve);
    });
    // The node's datagrams queue behind the stranger's, so an answer to them means that was handled.
    await ask(node, Buffer.from("still there?"));
  };
  await say(0, PING);
  await say(1, PING);
  await expect.poll(() => heard).toBe(2);
  // What does not open counts for nothing: the ids are there for anybody on the path to see.
  for (let number = 2; number < 140; number += 1) await say(number, PING, 1);
  await say(150, PING);
  await expect.poll(() => heard).toBe(3);
  // Data with a gap in front of it has to be kept until the gap is filled, and it never is.
  for (let number = 2; number < 140; number += 1) await say(number, cryptoFrame(number * 1000, randomBytes(1000)));
  heard = 0;
  for (let number = 200; number < 210; number += 1) await say(number, PING);
  expect(heard).toBe(0);
  socket.close();
  await mesh[Symbol.asyncDispose]();
  await serving;
});

test("a peer's reason for closing is cut, and holds nothing that a terminal or a log would obey", async () => {
  await using mesh = await openMesh();
  const [node, peer] = await Promise.all([mesh.dial(), accept(mesh.listener)]);
  if (!(peer instanceof QuicConnection)) throw new TypeError("not a connection of this package");
  peer.native.close(true, 0x40, Buffer.from(`\u001b[2Jgone\r\n\u202e${"a".repeat(500)}`));
  peer.wake();
  const close = await node.closed;
  expect(close).toMatchObject({ kind: "application", code: 0x40, byPeer: true });
  expect(close).toHaveProperty("reason", `\u{fffd}[2Jgone\u{fffd}\u{fffd}\u{fffd}${"a".repeat(115)}`);
});
