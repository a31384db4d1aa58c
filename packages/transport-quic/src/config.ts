import { X509Certificate, createPrivateKey } from "node:crypto";
import { TransportError } from "@quaymesh/protocol";
import type { Credentials, PeerTrust } from "@quaymesh/protocol";
import type { Binding, NativeConfig } from "./binding.ts";

/** What a TLS context and its transport parameters are made of. */
export interface ConfigInput {
  readonly protocol: string;
  readonly credentials: Credentials;
  readonly trust: PeerTrust;
  readonly idleTimeoutMs: number;
  readonly maxStreams: number;
  readonly datagramBytes: number;
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
}

/** Never SHA-1, never RSA PKCS #1. ECDSA P-256 first: it is what devices have. */
const SIGNATURE_ALGORITHMS = "ecdsa_secp256r1_sha256:ed25519:rsa_pss_rsae_sha256:ecdsa_secp384r1_sha384";
/**
 * Addresses that a connection may have had. quiche forgets none of them while the peer gives no new connection ids, and what comes from one more is dropped unread. With its default
 * of 2 the second NAT rebinding of a session was its end.
 */
export const MAX_PATHS = 64;

const invalid = (message: string, cause?: unknown): TransportError =>
  new TransportError("CREDENTIALS_INVALID", message, { cause });

// BoringSSL takes a key that is not the certificate's and fails in every handshake instead; say so here.
const checkCredentials = (credentials: Credentials): void => {
  let matches: boolean;
  try {
    const leaf = new X509Certificate(credentials.chainPem);
    matches = leaf.checkPrivateKey(createPrivateKey(credentials.keyPem));
  } catch (cause) {
    throw invalid("the certificate chain or the private key is not readable PEM", cause);
  }
  if (!matches) throw invalid("the private key does not belong to the first certificate");
};

// BoringSSL takes a text without a certificate for no anchors at all and refuses every peer; say so here too.
const checkAnchors = (trust: PeerTrust): void => {
  if (trust.kind !== "anchored") return;
  try {
    void new X509Certificate(trust.anchorsPem).subject;
  } catch (cause) {
    throw invalid("the trust anchors are not readable PEM", cause);
  }
};

/**
 * Build the native configuration: TLS 1.3 with a required peer certificate, no resumption use, no 0-RTT, no unidirectional streams.
 * @throws {TransportError} `CREDENTIALS_INVALID`
 */
export function buildConfig(binding: Binding, input: ConfigInput): NativeConfig {
  checkCredentials(input.credentials);
  checkAnchors(input.trust);
  const config = tlsConfig(binding, input);
  config.grease(true);
  config.setApplicationProtos([input.protocol]);
  config.setMaxIdleTimeout(input.idleTimeoutMs);
  // The peer then keeps to the smaller of the two: whoever knows of a narrow path may be either.
  config.setMaxRecvUdpPayloadSize(input.datagramBytes);
  config.setMaxSendUdpPayloadSize(input.datagramBytes);
  config.setInitialMaxData(input.connectionWindowBytes);
  config.setMaxConnectionWindow(input.connectionWindowBytes);
  config.setInitialMaxStreamDataBidiLocal(input.streamWindowBytes);
  config.setInitialMaxStreamDataBidiRemote(input.streamWindowBytes);
  config.setMaxStreamWindow(input.streamWindowBytes);
  config.setInitialMaxStreamDataUni(0);
  config.setInitialMaxStreamsBidi(input.maxStreams);
  config.setInitialMaxStreamsUni(0);
  config.setDisableActiveMigration(true);
  config.setActiveConnectionIdLimit(MAX_PATHS);
  return config;
}

function tlsConfig(binding: Binding, input: ConfigInput): NativeConfig {
  const anchored = input.trust.kind === "anchored";
  const anchors = input.trust.kind === "anchored" ? Buffer.from(input.trust.anchorsPem) : undefined;
  try {
    return binding.Config.withBoringSslCtx(
      true,
      !anchored,
      anchors,
      [Buffer.from(input.credentials.keyPem)],
      [Buffer.from(input.credentials.chainPem)],
      SIGNATURE_ALGORITHMS,
    );
  } catch (cause) {
    throw invalid("TLS does not take these credentials or trust anchors", cause);
  }
}

const MAX_CACHED = 8;

interface CachedConfig {
  readonly values: readonly unknown[];
  readonly config: NativeConfig;
}

/** Reuses configurations, so that repeated dials with one credential share one TLS context. Least recently used goes first. */
export class ConfigCache {
  /** Most recently used first. */
  readonly #entries: CachedConfig[] = [];

  /** The configuration for `input`, built at most once. @throws {TransportError} `CREDENTIALS_INVALID` */
  get(binding: Binding, input: ConfigInput): NativeConfig {
    const values = valuesOf(input);
    const index = this.#entries.findIndex((entry) => entry.values.every((value, at) => value === values[at]));
    const [entry = { values, config: buildConfig(binding, input) }] = index < 0 ? [] : this.#entries.splice(index, 1);
    this.#entries.unshift(entry);
    if (this.#entries.length > MAX_CACHED) this.#entries.pop();
    return entry.config;
  }
}

type Flat = Omit<ConfigInput, "credentials" | "trust"> & {
  readonly trustKind: string;
  readonly anchorsPem: string;
  readonly keyPem: string;
  readonly chainPem: string;
};

// Compared one by one: the same strings are given for every dial, and to find that out costs nothing, where a key made of them is kilobytes to hash. The type makes a field that is
// forgotten here an error.
const valuesOf = (input: ConfigInput): readonly unknown[] => {
  const flat: Flat = {
    trustKind: input.trust.kind,
    anchorsPem: input.trust.kind === "anchored" ? input.trust.anchorsPem : "",
    keyPem: input.credentials.keyPem,
    chainPem: input.credentials.chainPem,
    protocol: input.protocol,
    idleTimeoutMs: input.idleTimeoutMs,
    maxStreams: input.maxStreams,
    datagramBytes: input.datagramBytes,
    streamWindowBytes: input.streamWindowBytes,
    connectionWindowBytes: input.connectionWindowBytes,
  };
  return Object.values(flat);
};
