import { TransportError } from "@quaymesh/protocol";
import type { Credentials, PeerTrust } from "@quaymesh/protocol";
import type { NativeConfig } from "./binding.ts";

/** Whom a listener shows and whom it believes. */
export interface Shown {
  readonly credentials: Credentials;
  readonly trust: PeerTrust;
}

/** The TLS context for a client at this address. */
export type ConfigFor = (host: string) => NativeConfig;

/** What handshakes that begin now are made with; it changes as a whole or not at all. */
export class Identification {
  readonly #configure: (shown: Shown) => ConfigFor;
  #shown: Shown;
  #configFor: ConfigFor;

  /** @throws {TransportError} `CREDENTIALS_INVALID` */
  constructor(shown: Shown, configure: (shown: Shown) => ConfigFor) {
    this.#configure = configure;
    this.#configFor = configure(shown);
    this.#shown = shown;
  }

  get trust(): PeerTrust {
    return this.#shown.trust;
  }

  configFor(host: string): NativeConfig {
    return this.#configFor(host);
  }

  /** @throws {TransportError} `CREDENTIALS_INVALID`; nothing has changed then */
  setCredentials(credentials: Credentials): void {
    this.#change({ ...this.#shown, credentials });
  }

  /** @throws {TransportError} `CREDENTIALS_INVALID`; nothing has changed then */
  setTrustAnchors(anchorsPem: string): void {
    const { trust } = this.#shown;
    if (trust.kind !== "anchored") {
      throw new TransportError("CREDENTIALS_INVALID", "peers are not judged by anchors here");
    }
    this.#change({ ...this.#shown, trust: { ...trust, anchorsPem } });
  }

  #change(shown: Shown): void {
    this.#configFor = this.#configure(shown);
    this.#shown = shown;
  }
}
