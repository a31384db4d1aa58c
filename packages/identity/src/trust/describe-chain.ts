import { fingerprint } from "../bytes.ts";
import { dateFault, readChain } from "./path.ts";

/** A chain in words, for an error that can be acted on. */
export interface ChainDescription {
  /** Fingerprint of the pinned root's key, pairs of hexadecimal digits. */
  readonly expectedRoot: string | undefined;
  /** The same of the root that was shown, where it could be read. */
  readonly seenRoot: string | undefined;
  /** Whom the certificates name, leaf first. */
  readonly subjects: readonly string[];
  /** What is wrong with a date, with both clocks. */
  readonly dates: readonly string[];
}

/**
 * Describe a chain without judging it.
 * @param options.now Unix milliseconds
 */
export function describeChain(
  chainDer: readonly Uint8Array[],
  options: { readonly expectedRootSpkiSha256?: Uint8Array; readonly now: number },
): ChainDescription {
  const chain = readChain(chainDer);
  const expected = options.expectedRootSpkiSha256;
  const expectedRoot = expected === undefined ? undefined : fingerprint(expected);
  if (typeof chain === "string") return { expectedRoot, seenRoot: undefined, subjects: [], dates: [chain] };
  const root = chain.at(-1);
  return {
    expectedRoot,
    seenRoot: root === undefined ? undefined : fingerprint(root.spkiSha256),
    subjects: chain.map((certificate) => certificate.x509.subject.replaceAll("\n", ", ")),
    dates: chain.map((certificate) => dateFault(certificate, options.now)).filter((text) => text !== undefined),
  };
}
