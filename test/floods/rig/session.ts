/** A node made of frames alone. */
import { randomBytes } from "node:crypto";
import {
  MessageStream,
  parseGatewayControl,
  parseHealthReply,
  type Connection,
  type Transport,
  type SocketAddress,
} from "@quaymesh/protocol";
import type { Device } from "./rig.ts";

/** A session that is open. */
export interface OpenSession extends AsyncDisposable {
  readonly connection: Connection;
  /** Ask for the gateway's health and wait for the answer. */
  health(): Promise<void>;
}

/** Dial, say hello, wait for welcome. @throws what the transport or the gateway answers instead */
export async function openSession(
  transport: Transport,
  address: SocketAddress,
  device: Device,
  handshakeTimeoutMs?: number,
): Promise<OpenSession> {
  const connection = await transport.dial(address, {
    ...device.dial,
    ...(handshakeTimeoutMs !== undefined && { handshakeTimeoutMs }),
  });
  const control = new MessageStream(await connection.openStream());
  await control.send({
    v: 1,
    method: "session.open",
    device: device.id,
    nonce: randomBytes(16),
    outboxEpoch: new Uint8Array(16).fill(7),
    software: "raw/1",
    platform: { os: "linux", arch: "x64", hostname: "raw" },
    capabilities: [],
    policyVersion: 0,
    running: [],
  });
  const first = await control.expect(parseGatewayControl);
  if (first.type !== "welcome") throw new Error(`no welcome but ${first.type}`);
  return {
    connection,
    async health() {
      const stream = new MessageStream(await connection.openStream());
      await stream.end({ v: 1, method: "health" });
      const answer = await stream.expect(parseHealthReply);
      if (answer.status !== "ok") throw new Error(`the gateway is ${answer.status}`);
      await stream.discard();
    },
    async [Symbol.asyncDispose]() {
      await connection[Symbol.asyncDispose]();
    },
  };
}
