import { X509Certificate } from "node:crypto";

/** Whether an intermediate was signed by a root. Both DER; false where one cannot be read. Of a chain whose path was verified this says where it ends. */
export function isBelowRoot(intermediate: Uint8Array | undefined, root: Uint8Array | undefined): boolean {
  if (intermediate === undefined || root === undefined) return false;
  try {
    return new X509Certificate(intermediate).verify(new X509Certificate(root).publicKey);
  } catch {
    return false;
  }
}
