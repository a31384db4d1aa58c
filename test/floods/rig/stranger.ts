/** One connection attempt of somebody without a certificate of the mesh, as far as it is meant to go. */
import { randomBytes } from "node:crypto";
import { KeyPair, selfSignedCredentials } from "@quaymesh/identity";
import {
  type Binding,
  loadBinding,
  type NativeConfig,
  type NativeConnection,
} from "../../../packages/transport-quic/src/binding.ts";
import { buildConfig } from "../../../packages/transport-quic/src/config.ts";

/** What strangers share. */
export interface StrangerKit {
  readonly binding: Binding;
  readonly config: NativeConfig;
}

const LOCAL = { host: "127.0.0.1", port: 1 };
const DATAGRAM_BYTES = 1350;

/** Make what every attempt needs. */
export async function strangerKit(): Promise<StrangerKit> {
  const binding = await loadBinding();
  const credentials = await selfSignedCredentials(await KeyPair.generate(), { now: Date.now() });
  const config = buildConfig(binding, {
    protocol: "quaymesh/1",
    credentials,
    // Strangers don't care who answers.
    trust: { kind: "judged", authorize: () => ({ kind: "accept" }) },
    idleTimeoutMs: 30_000,
    maxStreams: 100,
    datagramBytes: DATAGRAM_BYTES,
    streamWindowBytes: 1 << 20,
    connectionWindowBytes: 1 << 20,
  });
  return { binding, config };
}

/** See the top of the file. */
export class Stranger {
  readonly id = randomBytes(20);
  readonly native: NativeConnection;
  readonly #slot = Buffer.alloc(DATAGRAM_BYTES);
  readonly #to: { readonly host: string; readonly port: number };

  constructor(kit: StrangerKit, serverName: string, to: { readonly host: string; readonly port: number }) {
    this.#to = to;
    this.native = kit.binding.Connection.connect(serverName, this.id, LOCAL, to, kit.config);
  }

  /** The datagrams it would send now. */
  *flight(): Generator<Buffer> {
    for (;;) {
      const sent = this.native.send(this.#slot);
      if (sent === null) return;
      yield Buffer.from(this.#slot.subarray(0, sent[0]));
    }
  }

  /** Hear an answer. */
  hear(datagram: Buffer): void {
    try {
      this.native.recv(datagram, { from: this.#to, to: LOCAL });
    } catch {
      // Refusals end up here too.
    }
  }
}
