/** A flood in a process of its own: it must not slow the clock that measures the others. Runs until its parent lets go. */
import dgram from "node:dgram";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { sealInitial } from "../../../packages/transport-quic/test/support/initial-packet.ts";
import { type FloodKind, type FloodReport, parseSetup } from "./flood-setup.ts";
import { Stranger, strangerKit } from "./stranger.ts";

const TICK_MS = 10;
const CRUMB_EVERY_MS = 1000;

const setup = parseSetup(process.argv[2] ?? "");
const kit = await strangerKit();
const strangers = new Map<string, { readonly stranger: Stranger; readonly socket: dgram.Socket }>();
const report = { attempts: 0, replays: 0, crumbs: 0, datagramsSent: 0, bytesSent: 0, datagramsHeard: 0, bytesHeard: 0 };

const send = (socket: dgram.Socket, datagram: Buffer): void => {
  report.datagramsSent += 1;
  report.bytesSent += datagram.length;
  // What a full buffer drops is dropped.
  socket.send(datagram, setup.port, setup.host, () => undefined);
};

function hear(datagram: Buffer): void {
  report.datagramsHeard += 1;
  report.bytesHeard += datagram.length;
  const isLong = ((datagram[0] ?? 0) & 0x80) !== 0;
  const known = strangers.get((isLong ? datagram.subarray(6, 26) : datagram.subarray(1, 21)).toString("latin1"));
  if (known === undefined || setup.kind === "half-open" || setup.kind === "reflection") return;
  const isRetry = ((datagram[0] ?? 0) & 0xf0) === 0xf0;
  if (setup.kind !== "handshakes" && !isRetry) return;
  known.stranger.hear(datagram);
  for (const answer of known.stranger.flight()) {
    send(known.socket, answer);
    if (setup.kind === "token-replay") tokens.push({ datagram: answer, socket: known.socket });
  }
  if (known.stranger.native.isClosed() || known.stranger.native.isDraining()) {
    strangers.delete(known.stranger.id.toString("latin1"));
  }
}

/** Second flights, each with a token. */
const tokens: { readonly datagram: Buffer; readonly socket: dgram.Socket }[] = [];
const MAX_TOKENS = 200;

async function openSocket(address: string): Promise<dgram.Socket> {
  const socket = dgram.createSocket(address.includes(":") ? "udp6" : "udp4");
  socket.bind(0, address);
  await once(socket, "listening");
  socket.on("error", () => undefined);
  socket.on("message", hear);
  return socket;
}

function knock(socket: dgram.Socket): void {
  const stranger = new Stranger(kit, setup.serverName, { host: setup.host, port: setup.port });
  strangers.set(stranger.id.toString("latin1"), { stranger, socket });
  for (const datagram of stranger.flight()) send(socket, datagram);
}

function replay(socket: dgram.Socket): void {
  if (tokens.length > MAX_TOKENS) tokens.splice(0, tokens.length - MAX_TOKENS);
  const token = tokens[report.attempts % Math.max(1, tokens.length)];
  // Every eighth attempt fetches a token.
  if (token === undefined || report.attempts % 8 === 0) return knock(socket);
  report.replays += 1;
  send(report.attempts % 2 === 0 ? socket : token.socket, token.datagram);
}

function reflect(socket: dgram.Socket): void {
  const turn = report.attempts % 4;
  const noise = randomBytes(turn === 3 ? 22 + (report.attempts % 60) : 1200);
  if (turn === 0) {
    // Another version, with ids as long as they may be.
    noise.set([0xc0, 0x6b, 0x33, 0x43, 0xcf, 255], 0);
    noise[261] = 255;
    send(socket, noise);
  } else if (turn === 1) {
    const ids = { dcid: randomBytes(8), scid: Buffer.alloc(0) };
    send(socket, sealInitial({ ...ids, number: 0, frames: Buffer.of(0x01) }));
  } else {
    noise[0] = 0x40 | ((noise[0] ?? 0) & 0x3f);
    send(socket, noise);
  }
}

function crumb(): void {
  for (const { stranger, socket } of strangers.values()) {
    report.crumbs += 1;
    const dcid = Buffer.from(stranger.native.destinationId());
    send(socket, sealInitial({ dcid, scid: stranger.id, number: 5 + report.attempts, frames: Buffer.of(0x01) }));
  }
}

const sockets = await Promise.all(setup.sources.map((source) => openSocket(source)));
const ATTEMPTS: Readonly<Record<FloodKind, (socket: dgram.Socket) => void>> = {
  "half-open": knock,
  "half-open-validated": knock,
  crumbs: knock,
  handshakes: knock,
  "token-replay": replay,
  reflection: reflect,
};
const attempt = ATTEMPTS[setup.kind];
let owed = 0;
let last = performance.now();
const ticking = setInterval(() => {
  const now = performance.now();
  owed = Math.min(owed + ((now - last) / 1000) * setup.perSecond, setup.perSecond / 10);
  last = now;
  for (; owed >= 1 && report.attempts < setup.total; owed -= 1) {
    const socket = sockets[report.attempts % sockets.length];
    if (socket !== undefined) attempt(socket);
    report.attempts += 1;
  }
}, TICK_MS);
const crumbling = setup.kind === "crumbs" ? setInterval(crumb, CRUMB_EVERY_MS) : undefined;

process.on("message", () => process.send?.(report satisfies FloodReport));
process.once("disconnect", () => {
  clearInterval(ticking);
  clearInterval(crumbling);
  for (const socket of sockets) socket.close();
});
process.send?.("ready");
