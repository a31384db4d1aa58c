/** Starts a pairing process, says which, and waits to be killed. */
import { createInterface } from "node:readline";
import { openRoom } from "./room.ts";

const room = await openRoom();
await room.open();
process.stdout.write(`${JSON.stringify({ pid: room.endpoint.pid, directory: room.directory })}\n`);
for await (const line of createInterface({ input: process.stdin })) process.stdout.write(line);
