/** `parseCsr` and what reads certificates: the ASN.1 that strangers at the pairing endpoint make up. */
import { describeChain, IdentityError, judgeChain, parseCsr, readDeviceLeaf } from "@quaymesh/identity";
import { subjectPublicKeyInfo } from "../../../packages/transport-quic/src/spki.ts";
import { mutateBytes } from "../bytes.ts";
import type { Random } from "../random.ts";
import { type PureTarget, Violation } from "../target.ts";
import { signWithSeedKey } from "./seed-key.ts";
import { type Element, mutateElements, readElements, writeElements } from "./der.ts";

const MAX_BYTES = 8192;
/** A fixed moment, so that one input has one result. */
const NOW = Date.UTC(2026, 0, 1);
const MAX_SENTENCE_UNITS = 65_536;

async function readCsr(bytes: Uint8Array): Promise<void> {
  try {
    const { spki, spkiSha256 } = await parseCsr(bytes);
    if (spki.length !== 91 || spkiSha256.length !== 32) throw new Violation("a request's key is no P-256 key");
  } catch (error) {
    if (!(error instanceof IdentityError) || error.code !== "PAIR_CSR_INVALID") throw error;
  }
}

function readCertificate(bytes: Uint8Array): void {
  const leaf = readDeviceLeaf(bytes);
  if (typeof leaf !== "string" && leaf.spkiSha256.length !== 32) throw new Violation("a leaf without a key was taken");
  const verdict = judgeChain([bytes, bytes], { rootSpkiSha256: "first-use", now: NOW });
  if (verdict.kind === "accept") throw new Violation("a chain of one certificate twice was taken");
  const { subjects, dates } = describeChain([bytes], { now: NOW });
  if ([...subjects, ...dates].some(({ length }) => length > MAX_SENTENCE_UNITS)) {
    throw new Violation("a description of a chain is longer than the chain");
  }
  try {
    subjectPublicKeyInfo(bytes);
  } catch (error) {
    if (!(error instanceof RangeError) || error.message.includes("call stack")) throw error;
  }
}

async function run(bytes: Uint8Array): Promise<void> {
  readCertificate(bytes);
  await readCsr(bytes);
}

/** What a request says, changed, signed again: the only way past the signature to what lies behind it. */
function signedAgain(random: Random, [request]: readonly Element[], other: readonly Element[]): Uint8Array | undefined {
  if (request === undefined || request.content instanceof Uint8Array) return undefined;
  const [info, algorithm] = request.content;
  if (info === undefined || algorithm === undefined || info.content instanceof Uint8Array) return undefined;
  const [version, ...rest] = info.content;
  if (version === undefined) return undefined;
  const changed = { tag: info.tag, content: [version, ...mutateElements(random, rest, other)] };
  const signature = signWithSeedKey(writeElements([changed]));
  const bits = { tag: 0x03, content: Uint8Array.from([0, ...signature]) };
  return writeElements([{ tag: 0x30, content: [changed, algorithm, bits] }]);
}

function mutate(random: Random, input: Uint8Array, other: Uint8Array): Uint8Array {
  let elements = readElements(input);
  const lent = readElements(other);
  if (random.chance(0.3)) {
    const signed = signedAgain(random, elements, lent);
    if (signed !== undefined) return signed;
  }
  for (let left = 1 + random.length(4); left > 0; left -= 1) elements = mutateElements(random, elements, lent);
  const out = writeElements(elements, random);
  return random.chance(0.1) ? mutateBytes(random, out, other, MAX_BYTES) : out;
}

/** See the top of the file. The corpus holds a request of the seed key and the certificates of a mesh. */
export const target: PureTarget = { maxBytes: MAX_BYTES, seeds: () => [], mutate, run };
