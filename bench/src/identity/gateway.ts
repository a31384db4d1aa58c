import { randomBytes, X509Certificate } from "node:crypto";
import { Gateway } from "@quaymesh/gateway";
import { connect, type GatewayClient } from "@quaymesh/gateway/client";
import { certificatesFromPem, sha256 } from "@quaymesh/identity";
import {
  MessageStream,
  parseGatewayControl,
  type CloseInfo,
  type Credentials,
  type PeerIdentity,
  type Transport,
} from "@quaymesh/protocol";
import type { DeviceFile, DevicesFile } from "../sessions/devices.ts";

const HOST = "127.0.0.1";
const MAX_CONNECTIONS = 65_536;
const PAIRING_CHILD = new URL("../../../packages/cli/src/pairing-child.ts", import.meta.url);

/** A whole gateway in this process, and an operator's client of it. */
export class IdentityGateway implements AsyncDisposable {
  readonly client: GatewayClient;
  readonly port: number;
  readonly #resources: AsyncDisposableStack;

  private constructor(client: GatewayClient, port: number, resources: AsyncDisposableStack) {
    this.client = client;
    this.port = port;
    this.#resources = resources;
  }

  /** @param state with devices enrolled */
  static async open(transport: Transport, state: string): Promise<IdentityGateway> {
    await using opened = new AsyncDisposableStack();
    const listen = { host: HOST, port: 0 };
    const gateway = opened.use(
      await Gateway.open({
        transport,
        state,
        listen,
        pairing: { childModule: PAIRING_CHILD, listen },
        transportLimits: { maxConnections: MAX_CONNECTIONS },
        logger: { debug() {}, info() {}, warn() {}, error: report },
      }),
    );
    const client = opened.use(await connect({ state }));
    const port = Number(gateway.addresses[0]?.split(":").at(-1));
    return new IdentityGateway(client, port, opened.move());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

/** A session of a device. */
export interface Held extends AsyncDisposable {
  readonly device: DeviceFile;
  readonly closed: Promise<CloseInfo>;
}

/** Dial as a device, and wait for the welcome. */
export async function hold(transport: Transport, port: number, mesh: DevicesFile, device: DeviceFile): Promise<Held> {
  const connection = await transport.dial(
    { host: HOST, port },
    {
      protocol: "quaymesh/1",
      serverName: mesh.serverName,
      credentials: device,
      trust: { kind: "anchored", anchorsPem: mesh.rootPem },
    },
  );
  const control = new MessageStream(await connection.openStream());
  await control.send({
    v: 1,
    method: "session.open",
    device: device.deviceId,
    nonce: randomBytes(16),
    outboxEpoch: randomBytes(16),
    software: "quaymesh-bench",
    platform: { os: process.platform, arch: process.arch },
    capabilities: [],
  });
  const welcome = await control.expect(parseGatewayControl);
  if (welcome.type !== "welcome") throw new Error(`expected welcome, got ${welcome.type}`);
  let seq = 0;
  const beats = setInterval(() => {
    Promise.resolve(control.send({ type: "heartbeat", seq: ++seq, load: 0, running: [] })).catch(() =>
      clearInterval(beats),
    );
  }, welcome.heartbeatMs);
  const reading = readOut(control);
  return {
    device,
    closed: connection.closed,
    async [Symbol.asyncDispose]() {
      clearInterval(beats);
      await connection[Symbol.asyncDispose]();
      await reading;
    },
  };
}

/** What TLS would show, where there is none: the memory network's peers. */
export function peerOfPem({ chainPem }: Credentials): PeerIdentity {
  const chain = certificatesFromPem(chainPem);
  const leaf = new X509Certificate(chain[0] ?? new Uint8Array());
  return { chain, spkiSha256: sha256(leaf.publicKey.export({ type: "spki", format: "der" })) };
}

async function readOut(control: MessageStream): Promise<void> {
  try {
    for await (const _message of control.messages(parseGatewayControl));
  } catch {
    // Its end is seen by the connection's.
  }
}

function report(fields: Readonly<Record<string, unknown>>, message: string): void {
  process.stderr.write(`gateway: ${message} ${JSON.stringify(fields)}\n`);
}
