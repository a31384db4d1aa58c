import {
  createKeyFile,
  deriveSealingKey,
  IdentityError,
  newPassphraseParameters,
  readKeyFile,
  type SealedWith,
  type SealingKey,
  type Secret,
} from "@quaymesh/identity";

/** What is to seal a gateway's keys. */
export type NewSealing =
  | { readonly kind: "passphrase"; readonly passphrase: Secret<string> }
  /** A file that is there is taken, another is made. */
  | { readonly kind: "key-file"; readonly path: string }
  | { readonly kind: "key"; readonly key: SealingKey };

/** The key, and what belongs beside what it seals. @throws {IdentityError} `STORE_*` */
export async function sealedWith(sealing: NewSealing): Promise<SealedWith> {
  switch (sealing.kind) {
    case "key":
      return { key: sealing.key };
    case "key-file":
      return { key: await keyFile(sealing.path) };
    case "passphrase": {
      const parameters = newPassphraseParameters();
      return { key: await deriveSealingKey(sealing.passphrase, parameters), parameters };
    }
    default:
      return sealing satisfies never;
  }
}

async function keyFile(path: string): Promise<SealingKey> {
  try {
    return await createKeyFile(path);
  } catch (cause) {
    if (cause instanceof IdentityError && cause.code === "STORE_EXISTS") return await readKeyFile(path);
    throw cause;
  }
}
