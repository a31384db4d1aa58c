/** A gateway with a bug planted below it: what the datagram fuzzer must find. `QUAYMESH_PLANTED` says which. */
import dgram from "node:dgram";
import { burn } from "./burn.ts";

const TRIGGER = 0xff;
const BLOCK_MS = 70;
/** Below what a client takes for the end of its connection. */
const STALL_MS = 3000;
const bug = process.env["QUAYMESH_PLANTED"];
let isDeaf = false;
let stalledUntil = 0;

function strike(): void {
  if (bug === "dies") process.exit(3);
  if (bug === "goes-deaf") isDeaf = true;
  if (bug === "blocks") burn(BLOCK_MS);
  if (bug === "stalls") stalledUntil = performance.now() + STALL_MS;
}

type Listener = (datagram: Buffer, from: dgram.RemoteInfo) => void;
const on: (this: dgram.Socket, event: string, listener: Listener) => dgram.Socket = Reflect.get(
  dgram.Socket.prototype,
  "on",
);

function planted(this: dgram.Socket, event: string, listener: Listener): dgram.Socket {
  if (event !== "message") return on.call(this, event, listener);
  return on.call(this, event, (datagram, from) => {
    if (datagram[0] === TRIGGER) strike();
    const waitMs = stalledUntil - performance.now();
    if (waitMs > 0) setTimeout(listener, waitMs, Buffer.from(datagram), from);
    else if (!isDeaf) listener(datagram, from);
  });
}
Object.assign(dgram.Socket.prototype, { on: planted });
await import("../../floods/rig/gateway-child.ts");
