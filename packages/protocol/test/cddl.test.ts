import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { encodeCbor, parseTaskEvent, ProtocolError } from "@quaymesh/protocol";
import { Cddl } from "./cddl.ts";
import { parseVector, vectors, type Vector } from "./message-vectors.ts";
import { fromJson, toHex } from "./vectors.ts";

const cddl = new Cddl(readFileSync(new URL("../../../schemas/wire/quaymesh.cddl", import.meta.url), "utf8"));

/** The choice of the grammar that a frame of this stream and direction must be. */
const RULES: Readonly<Record<string, string>> = {
  "session.open from node": "node-control",
  "session.open from gateway": "gateway-control",
  "events.publish from node": "publish-message",
  "events.publish from gateway": "publish-reply",
  "events.subscribe from node": "subscriber-message",
  "events.subscribe from gateway": "subscription-message",
  "task.run from gateway": "task-to-node",
  "task.run from node": "task-from-node",
  "pair from node": "pair-to-gateway",
  "pair from gateway": "pair-to-node",
  "certificate.renew from gateway": "renewed",
  "health from gateway": "health",
  "mesh.roots from gateway": "roots",
};

const DATA_RULES: Readonly<Record<string, string>> = {
  "task.progress": "task-progress-data",
  "task.log": "task-log-data",
  "task.output": "task-output-data",
  "task.result": "task-result-data",
};

/** Values to put where something else belongs. No whole floats: readers cannot tell them from integers. */
const JUNK: readonly unknown[] = [
  null,
  true,
  0,
  1,
  -1,
  2,
  0.5,
  1.5,
  Number.MAX_SAFE_INTEGER,
  "",
  "x",
  "y".repeat(64),
  "y".repeat(65),
  "y".repeat(129),
  "y".repeat(513),
  "y".repeat(9000),
  "01ARZ3NDEKTSV4RRFFQ69G5FAV",
  "01arz3ndektsv4rrffq69g5fav",
  "succeeded",
  "ok",
  ...[0, 1, 8, 15, 16, 17, 32, 33, 63, 64, 2048, 2049, 49_153, 65_537].map((length) => new Uint8Array(length)),
  [],
  [1],
  ["x"],
  [[]],
  [{}],
  {},
  { a: 1 },
];

const ruleOf = (vector: Vector) =>
  vector.request === true ? "request" : (RULES[`${vector.stream} from ${vector.from}`] ?? "");

function accepts(run: () => unknown): boolean {
  try {
    return run() !== undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(ProtocolError);
    return false;
  }
}

/** `value` with one thing wrong, at every place: each key left out, each value replaced by each piece of junk. */
function* variants(value: unknown): Generator {
  if (Array.isArray(value)) {
    for (const [index, inner] of value.entries()) for (const each of variants(inner)) yield value.with(index, each);
  } else if (typeof value === "object" && value !== null && !(value instanceof Uint8Array)) {
    for (const [key, inner] of Object.entries(value)) {
      const { [key]: _left, ...rest } = value as Record<string, unknown>;
      yield rest;
      // What names the message decides which rule applies: another name is another message.
      if (["v", "method", "type"].includes(key)) continue;
      for (const junk of JUNK) yield { ...value, [key]: junk };
      for (const each of variants(inner)) yield { ...value, [key]: each };
    }
  }
}

describe("the grammar of the wire", () => {
  it.each(vectors.messages)("describes $name", (vector) => {
    expect(cddl.matches(ruleOf(vector), fromJson(vector.value))).toBe(true);
  });

  it.each(vectors.errors)("describes $name", ({ value }) => {
    expect(cddl.matches("error", fromJson(value))).toBe(true);
    expect(cddl.matches("message", fromJson(value))).toBe(true);
  });

  it.each(vectors.eventData)("describes the data of $kind", ({ kind, value }) => {
    expect(cddl.matches(DATA_RULES[kind] ?? "", fromJson(value))).toBe(true);
  });

  it.each(vectors.messages)("agrees with the parser on everything that is nearly $name", (vector) => {
    for (const value of variants(fromJson(vector.value))) {
      const parsed = accepts(() => parseVector({ ...vector, hex: toHex(encodeCbor(value)) }));
      if (cddl.matches(ruleOf(vector), value) !== parsed) {
        expect.fail(
          `the parser ${parsed ? "takes" : "refuses"}, the grammar does not, ${JSON.stringify(value).slice(0, 400)}`,
        );
      }
    }
  });

  it.each(vectors.eventData)(
    "agrees with the parser on everything that is nearly the data of $kind",
    ({ kind, value }) => {
      for (const variant of variants(fromJson(value))) {
        const parsed = accepts(() => parseTaskEvent(kind, encodeCbor(variant)));
        if (cddl.matches(DATA_RULES[kind] ?? "", variant) !== parsed) {
          expect.fail(
            `the parser ${parsed ? "takes" : "refuses"}, the grammar does not, ${JSON.stringify(variant).slice(0, 400)}`,
          );
        }
      }
    },
  );

  it("knows exactly the methods and types that have vectors", () => {
    const named = (key: string) =>
      new Set(
        vectors.messages
          .map(({ value }) => (value as Record<string, unknown>)[key])
          .filter((name) => name !== undefined),
      );
    expect(new Set(cddl.literals("method"))).toEqual(named("method"));
    expect(new Set(cddl.literals("type"))).toEqual(named("type").add("error"));
  });
});
