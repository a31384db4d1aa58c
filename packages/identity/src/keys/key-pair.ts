import { createHash, type webcrypto as WebCrypto } from "node:crypto";
import { IdentityError } from "../errors.ts";
import { Secret } from "../secret.ts";
import { KEY_ALGORITHM, PemConverter, webcrypto } from "./x509.ts";

/** An ECDSA P-256 key pair with what is asked of it most. */
export class KeyPair {
  /** Both keys as WebCrypto has them. */
  readonly keys: WebCrypto.CryptoKeyPair;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  /** SHA-256 of {@link KeyPair.spki}, 32 bytes: what names this key everywhere. */
  readonly spkiSha256: Uint8Array;
  readonly #pem: Secret<string>;

  private constructor(keys: WebCrypto.CryptoKeyPair, spki: Uint8Array, pem: Secret<string>) {
    this.keys = keys;
    this.spki = spki;
    this.spkiSha256 = sha256(spki);
    this.#pem = pem;
  }

  /** A new key from the system's randomness. */
  static async generate(): Promise<KeyPair> {
    const keys = await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ["sign", "verify"]);
    const spki = await webcrypto.subtle.exportKey("spki", keys.publicKey);
    const pkcs8 = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
    return new KeyPair(keys, new Uint8Array(spki), new Secret(PemConverter.encode(pkcs8, "PRIVATE KEY")));
  }

  /**
   * Read a PKCS #8 private key.
   * @param pem one `PRIVATE KEY` block, unencrypted
   * @throws {IdentityError} `KEY_INVALID` for anything but an ECDSA P-256 key
   */
  static async fromPem(pem: Secret<string>): Promise<KeyPair> {
    try {
      const pkcs8 = PemConverter.decodeFirst(pem.reveal());
      const privateKey = await webcrypto.subtle.importKey("pkcs8", pkcs8, KEY_ALGORITHM, true, ["sign"]);
      const { kty, crv, x, y } = await webcrypto.subtle.exportKey("jwk", privateKey);
      if (crv !== KEY_ALGORITHM.namedCurve || kty == null || x == null || y == null)
        throw new TypeError("not on P-256");
      const publicKey = await webcrypto.subtle.importKey("jwk", { kty, crv, x, y }, KEY_ALGORITHM, true, ["verify"]);
      const spki = await webcrypto.subtle.exportKey("spki", publicKey);
      return new KeyPair({ privateKey, publicKey }, new Uint8Array(spki), pem);
    } catch (cause) {
      throw new IdentityError("KEY_INVALID", "not an ECDSA P-256 private key in PKCS #8 PEM", { cause });
    }
  }

  /** The private key, PKCS #8 PEM. */
  privatePem(): Secret<string> {
    return this.#pem;
  }
}

/** SHA-256, 32 bytes. */
export function sha256(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHash("sha256").update(bytes).digest());
}
