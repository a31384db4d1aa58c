/** What the processes of chaos have in common. */
import { writeSync } from "node:fs";
import { flushCompileCache } from "node:module";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import type { Transport } from "@quaymesh/protocol";
import { createQuicTransport } from "@quaymesh/transport-quic";

/** Silence after which a connection is dead: short, so that standing still ends sessions. */
export const IDLE_MS = 1500;

/** A handshake on loopback takes milliseconds; one that began before the gateway was there would be repeated after a second. */
const HANDSHAKE_MS = 700;
const MAX_DIALS = 100;
const BETWEEN_DIALS_MS = 30;
const idle = new Int32Array(new SharedArrayBuffer(4));

/**
 * Tell the harness, before anything else is done: the line is with the kernel when this returns, and outlives this process.
 */
export function tell(line: string): void {
  let bytes = Buffer.from(`${line}\n`);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(writeSync(1, bytes));
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) throw error;
      // The harness is busy: its pipe is full, and nothing may go on before it has this.
      Atomics.wait(idle, 0, 0, 1);
    }
  }
}

/** Say that this process is up. @param rest what the harness has to know */
export function tellReady(rest = ""): void {
  tell(`ready ${rest}`);
  // At an end by SIGKILL nobody would: the next start finds everything compiled.
  flushCompileCache();
}

/** What the harness says, by its first word. Its end is this process's, too. */
export function obey(commands: Readonly<Record<string, (rest: string) => void>>): void {
  const input = createInterface({ input: process.stdin });
  input.on("line", (line) => {
    const [word = "", ...rest] = line.split(" ");
    commands[word]?.(rest.join(" "));
  });
  input.once("close", () => process.exit(1));
}

/**
 * QUIC to wherever the gateway is on this machine. A dial is patient: while the gateway is being started again it tries on, as a node's own pauses between dials would make up most of the time.
 */
export function dialing(port: number): Transport {
  const quic = createQuicTransport();
  return {
    listen: (options) => quic.listen(options),
    async dial(_address, options) {
      for (let attempt = 1; ; attempt++) {
        try {
          const times = { idleTimeoutMs: IDLE_MS, handshakeTimeoutMs: HANDSHAKE_MS };
          return await quic.dial({ host: "127.0.0.1", port }, { ...options, ...times });
        } catch (error) {
          if (attempt === MAX_DIALS || options.signal?.aborted === true) throw error;
          await delay(BETWEEN_DIALS_MS, undefined, { signal: options.signal });
        }
      }
    },
  };
}
