/**
 * The one place where the X.509 library gets its WebCrypto. Import certificates' building blocks from here and from
 * nowhere else: `reflect-metadata` has to run before `@peculiar/x509` does.
 */
import "reflect-metadata";
import { Crypto } from "@peculiar/webcrypto";
import { cryptoProvider } from "@peculiar/x509";

/** WebCrypto as the X.509 library uses it. */
export const webcrypto = new Crypto();
cryptoProvider.set(webcrypto);

/** Every key of a mesh is ECDSA P-256. */
export const KEY_ALGORITHM = { name: "ECDSA", namedCurve: "P-256" } as const;
/** How every certificate and request is signed. */
export const SIGNING_ALGORITHM = { name: "ECDSA", hash: "SHA-256" } as const;

export {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  PemConverter,
  Pkcs10CertificateRequest,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
export type { Extension } from "@peculiar/x509";
