/** A process to be killed: appends to a store and says what was acknowledged. Arguments: the database, the device, the file to say it in. */
import { openSync, writeSync } from "node:fs";
import { argv } from "node:process";
import { encodeValue } from "@quaymesh/protocol";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";

const [, , path = "", deviceId = "", acknowledged = ""] = argv;
const outboxEpoch = new Uint8Array(16).fill(7);
const store = await openSqliteStore({ path });
const spkiSha256 = Buffer.from(deviceId).toString("hex");
const times = { notBefore: 0, notAfter: 1, issuedAt: 0 };
const certificate = { serial: "s", deviceId, spkiSha256, ...times, state: "active", chain: [] } as const;
await store.devices.enroll({ deviceId, name: "n", labels: [], purpose: "", platform: "", certificate, now: 0 });
const about = { software: "", platform: "", remoteAddress: "", capabilities: [] };
const { ackedSeq } = await store.sessions.open({ deviceId, outboxEpoch, ...about, now: 0 });

// A file takes every write at once, where a pipe whose reader is slow is full; and what is in it outlives the process.
const said = openSync(acknowledged, "a");

/** Far more than is waited for, and no more: whoever is slow to kill this finds a log that is read in a moment all the same. */
const MOST_EVENTS = 4000;

/** Batches are under way together, so that kills hit groups in every stage. */
async function writeFrom(start: number): Promise<void> {
  for (let first = start; first < start + MOST_EVENTS; first += 40) {
    const batches = [0, 10, 20, 30].map(async (offset) => {
      const events = Array.from({ length: 10 }, (_, index) => {
        const seq = first + offset + index;
        return { kind: "k", time: seq, data: encodeValue(seq) };
      });
      const result = await store.events.append({ deviceId, outboxEpoch, first: first + offset, events, now: 0 });
      // Synchronously: what was said before the kill must have left the process.
      if (result.kind === "stored") writeSync(said, `${result.ackedSeq}\n`);
    });
    await Promise.all(batches);
  }
}

await writeFrom(ackedSeq + 1);
// Not an end of its own: it is there to be killed.
setInterval(() => undefined, 60_000);
