/** Appends until it is killed; prints the sequence of each append that resolved. Argument: the directory. */
import { writeSync } from "node:fs";
import { Outbox } from "../../src/outbox/outbox.ts";

const directory = process.argv[2];
if (directory === undefined) throw new Error("usage: outbox-child DIRECTORY");
const outbox = await Outbox.open({ directory, segmentBytes: 65_536 });
const writers = Array.from({ length: 8 }, async (_, writer) => {
  for (let index = 0; ; index++) {
    const data = new TextEncoder().encode(`${writer}:${index}`);
    const seq = await outbox.append({ kind: "child", time: index, data });
    writeSync(1, `${seq} ${writer}:${index}\n`);
    if (writer === 0 && index % 20 === 19) outbox.acknowledge(Math.max(0, seq - 200));
  }
});
await Promise.all(writers);
