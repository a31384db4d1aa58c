/**
 * What a recorded pairing with a PIN gives away of the PIN: nothing that a guess could be held against. Shown on the messages themselves, for the right PIN and others.
 *
 * The shares hide the PIN perfectly: the group has prime order, so a share is a multiple of the generator of *every* PIN, and as likely for each. The proofs are MACs under keys that are hashed from
 * K = x*y*G(PIN); who has the two shares and a guess, and neither scalar, would have to compute that from them: the Diffie-Hellman problem, once for each of 10^8 PINs.
 */
import { calculateGenerator } from "../src/cpace/cpace.ts";
import {
  channelIdentifier,
  gatewayMac,
  nodeMac,
  pairingKeys,
  pairingShare,
  type PairingChannel,
} from "../src/pairing/transcript.ts";
import { bytesOf, GATEWAY_KEY, GatewayRoom, knock, MESH_ID, NodeRoom, pinCode } from "./pairing-room.ts";
import { ristretto255 } from "@noble/curves/ed25519.js";
import { utf8 } from "../src/bytes.ts";
import { expect, test } from "vitest";

const PIN = "48217093";
/** The right one among others. */
const GUESSES: readonly string[] = [
  PIN,
  "00000000",
  "99999999",
  "48217094",
  "84217093",
  ...Array.from({ length: 27 }, (_, at) => String((at + 1) * 3_571_429).padStart(8, "0")),
];
const CHANNEL: PairingChannel = {
  meshId: MESH_ID,
  nodeSpkiSha256: bytesOf("node key", 32),
  gatewaySpkiSha256: GATEWAY_KEY,
};
const { Point } = ristretto255;

/** Everything that crosses the wire when a device pairs with this PIN; all other chance is always the same. */
function recorded(pin: string) {
  const gateway = new GatewayRoom();
  gateway.open(pinCode(pin));
  const node = new NodeRoom(pinCode(pin));
  expect(knock(gateway, node)).toBeUndefined();
  const [share, proved] = gateway.sent.get(node.attemptId) ?? [];
  if (share?.type !== "share" || proved?.type !== "proved") throw new Error("no pairing");
  return { hello: node.hello, share, prove: node.prove, proved };
}

function generatorOf(pin: string) {
  const prs = utf8(pin);
  return Point.fromBytes(calculateGenerator({ prs, ci: channelIdentifier(CHANNEL), sid: new Uint8Array() }));
}

function fieldsOf(messages: ReturnType<typeof recorded>): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(messages).flatMap(([name, message]) =>
      Object.entries(message).map(([field, value]): [string, string] => [
        `${name}.${field}`,
        value instanceof Uint8Array ? Buffer.from(value).toString("hex") : JSON.stringify(value),
      ]),
    ),
  );
}

test("of all that is said only the shares and the proofs depend on the PIN; nothing is a function of the PIN alone", () => {
  const one = fieldsOf(recorded(PIN));
  const other = fieldsOf(recorded("48217094"));
  expect([...one.keys()]).toEqual([...other.keys()]);
  const differing = [...one].filter(([field, value]) => other.get(field) !== value).map(([field]) => field);
  expect(differing.toSorted()).toEqual(["hello.ya", "prove.mac", "proved.mac", "share.yb"]);
});

test("the same PIN gives other shares and other proofs the next time: what is seen of one pairing says nothing of another", () => {
  const said = (attempt: string) => {
    const gateway = new GatewayRoom();
    gateway.open(pinCode(PIN));
    const node = new NodeRoom(pinCode(PIN), { attemptId: attempt });
    expect(knock(gateway, node)).toBeUndefined();
    const [share, proved] = gateway.sent.get(attempt) ?? [];
    return [
      node.hello.ya,
      node.prove.mac,
      share?.type === "share" && share.yb,
      proved?.type === "proved" && proved.mac,
    ];
  };
  const [one, other] = [said("first"), said("second")];
  for (const [at, value] of one.entries()) expect(other[at]).not.toEqual(value);
});

test("a recorded share is a share of every PIN: each PIN's generator spans the group, so no share rules one out", () => {
  const { hello, share } = recorded(PIN);
  const seen = [Point.fromBytes(hello.ya), Point.fromBytes(share.yb)];
  for (const pin of GUESSES) {
    const generator = generatorOf(pin);
    // In a group of prime order whatever is not neutral is a generator: there is a scalar x' with x' * G(pin) = Y, for each pin one.
    expect(generator.is0()).toBe(false);
    expect(
      generator
        .multiplyUnsafe(Point.Fn.ORDER - 1n)
        .add(generator)
        .is0(),
    ).toBe(true);
    for (const point of seen) expect(point.is0()).toBe(false);
  }
});

test("where the scalars can be known, each PIN has its own, which give the recorded shares and another key", () => {
  // The hash to the group stands as multiples of one point, whose factors only this test knows. Nobody knows them of the real one.
  const { Fn } = Point;
  const factorOf = (pin: string): bigint => BigInt(`0x${Buffer.from(bytesOf(`factor of ${pin}`, 31)).toString("hex")}`);
  const [x, y] = [factorOf("the node's scalar"), factorOf("the gateway's scalar")];
  const real = Point.BASE.multiply(factorOf(PIN));
  const [ya, yb] = [real.multiply(x), real.multiply(y)];
  const keys = new Set<string>();
  for (const pin of GUESSES) {
    const generator = Point.BASE.multiply(factorOf(pin));
    const [xOf, yOf] = [x, y].map((scalar) => Fn.div(Fn.mul(scalar, factorOf(PIN)), factorOf(pin)));
    if (xOf === undefined || yOf === undefined) throw new Error("no scalars");
    expect(generator.multiply(xOf).equals(ya)).toBe(true);
    expect(generator.multiply(yOf).equals(yb)).toBe(true);
    expect(yb.multiply(xOf).equals(ya.multiply(yOf))).toBe(true);
    keys.add(yb.multiply(xOf).toHex());
  }
  expect(keys.size).toBe(GUESSES.length);
});

test("who has recorded everything and learns the PIN afterwards still cannot compute the proofs", () => {
  const { hello, share, prove, proved } = recorded(PIN);
  const { ya, ...fields } = hello;
  // A key needs a scalar of this pairing; one's own gives a key of one's own.
  for (const scalar of [bytesOf("own scalar", 32), new Uint8Array(32).fill(1), share.yb]) {
    for (const peerShare of [ya, share.yb, generatorOf(PIN).toBytes()]) {
      const keys = pairingKeys({ channel: CHANNEL, hello: fields, ya, share, scalar, peerShare });
      if (keys === undefined) continue;
      expect(nodeMac(keys)).not.toEqual(prove.mac);
      expect(gatewayMac(keys, proved)).not.toEqual(proved.mac);
    }
  }
});

test("somebody in the gateway's place gets one guess an attempt: what they can compute is fixed by the share they sent", () => {
  const node = new NodeRoom(pinCode(PIN));
  const { ya, ...fields } = node.hello;
  const scalar = bytesOf("the scalar of who is in between", 32);
  const learned = GUESSES.map((guess) => {
    // The share commits to a guess; the keys that follow from it know of no other, so a second guess has nothing to be tried on.
    const attempt = new NodeRoom(pinCode(PIN));
    const share = { nonce: bytesOf("nonce", 16), yb: pairingShare(utf8(guess), CHANNEL, scalar) };
    attempt.receive({ type: "share", ...share });
    const keys = pairingKeys({ channel: CHANNEL, hello: fields, ya, share, scalar, peerShare: ya });
    if (keys === undefined) throw new Error("no keys");
    return Buffer.compare(nodeMac(keys), attempt.prove.mac) === 0;
  });
  expect(learned.map((right, at) => (right ? GUESSES[at] : "")).filter((pin) => pin !== "")).toEqual([PIN]);
});

test("somebody in the node's place gets one guess an attempt too, and the gateway counts it", () => {
  const gateway = new GatewayRoom();
  gateway.open(pinCode(PIN));
  const guesser = new NodeRoom(pinCode("00000000"), { attemptId: "a guess" });
  expect(knock(gateway, guesser)).toBe("PAIR_CODE_INVALID");
  // All it has of the gateway is a share: no proof was given to hold further guesses against.
  expect(gateway.sent.get("a guess")?.map(({ type }) => type)).toEqual(["share"]);
  expect(gateway.code()?.failures).toBe(1);
});
