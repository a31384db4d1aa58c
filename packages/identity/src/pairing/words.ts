import { sha512 } from "@noble/hashes/sha2.js";
import { utf8 } from "../bytes.ts";
import { lvCat } from "../cpace/encoding.ts";
import { WORD_LIST } from "./wordlist.ts";

/** The words both screens show. */
export type PairingWords = readonly [string, string, string, string];

const BITS_PER_WORD = 11;

/**
 * Four words, 44 bits, from the transcript and the request. The request's hash is in the hello and its bytes come last, so whoever sits in between has committed
 * to all of its own values on both sides before it can know either side's words: it cannot search for a match, only hope for one in 2^44.
 */
export function pairingWords(transcript: Uint8Array, csr: Uint8Array): PairingWords {
  const digest = sha512(lvCat(utf8("quaymesh pairing words"), transcript, csr));
  return [wordAt(digest, 0), wordAt(digest, 1), wordAt(digest, 2), wordAt(digest, 3)];
}

function wordAt(digest: Uint8Array, index: number): string {
  let value = 0;
  for (let bit = index * BITS_PER_WORD; bit < (index + 1) * BITS_PER_WORD; bit++) {
    value = (value << 1) | (((digest[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1);
  }
  return WORD_LIST[value] ?? "";
}
