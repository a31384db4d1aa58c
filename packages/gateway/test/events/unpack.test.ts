import { readFileSync } from "node:fs";
import { decodeCbor, parsePublishMessage, ProtocolError, type PackedBatch } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import { unpackBatch } from "../../src/events/unpack.ts";

interface Vector {
  readonly name: string;
  readonly bytes: number;
  readonly packed: string;
  readonly body?: string;
  readonly code?: string;
}
const file = new URL("../../../../schemas/wire/vectors/packed.json", import.meta.url);
const { unpacked, refused } = JSON.parse(readFileSync(file, "utf8")) as {
  readonly unpacked: readonly Vector[];
  readonly refused: readonly Vector[];
};

const messageOf = ({ packed, bytes }: Vector): PackedBatch => ({
  type: "batch.packed",
  encoding: "zstd",
  bytes,
  packed: Buffer.from(packed, "hex"),
});

function refusalOf(vector: Vector): unknown {
  try {
    unpackBatch(messageOf(vector));
  } catch (error) {
    return error;
  }
  return "taken";
}

test.each(unpacked)("$name gives the batch that was packed", (vector) => {
  const body = Buffer.from(vector.body ?? "", "hex");
  expect(unpackBatch(messageOf(vector))).toEqual(parsePublishMessage(body));
  expect(unpackBatch(messageOf(vector))).toEqual(decodeCbor(body));
});

test.each(refused)("$name is refused", (vector) => {
  const error = refusalOf(vector);
  expect(error).toBeInstanceOf(ProtocolError);
  expect(error).toMatchObject({ code: vector.code });
});

test("a bomb gives no more than a frame, and a thousand of them leave nothing behind", () => {
  const bombs = refused.filter(({ name }) => name.startsWith("8 MiB"));
  expect(bombs).toHaveLength(3);
  const blow = (times: number) => {
    for (let left = times; left > 0; left--) for (const bomb of bombs) refusalOf(bomb);
  };
  blow(50);
  const before = process.memoryUsage().rss;
  blow(1000);
  // Unpacked they would be 24 GB; each may take its frame's 512 KiB until it is collected.
  expect(process.memoryUsage().rss - before).toBeLessThan(256 << 20);
});
