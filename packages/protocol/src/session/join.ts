/**
 * Join tokens: how two holders of one key are noticed. With each welcome a device gets a new token, and shows the last it has stored with its next hello. Of two that began from one
 * copy, one gets a token that the other lacks, and the one that lags behind shows a stale one. docs/wire.md, "Join tokens".
 */

/** Bytes of a token. */
export const JOIN_TOKEN_BYTES = 16;

/** What a gateway holds of a device. */
export interface JoinTokens {
  /** Given with the last welcome; whether it arrived and was stored is not known yet. */
  readonly current: Uint8Array;
  /** Shown with the last hello; none was where the device had none. */
  readonly previous: Uint8Array | undefined;
}

/** Whether a hello may join; `tokens` is what is held from then on. */
export type JoinVerdict = { readonly kind: "join"; readonly tokens: JoinTokens } | { readonly kind: "stale" };

/**
 * Judge a hello. The previous token is as good as the current one: a device may crash between its welcome and its disk, and so may the path to it.
 * @param held nothing for a device that was just paired or unfrozen: whatever it shows is taken
 * @param shown in the hello, if anything
 * @param fresh {@link JOIN_TOKEN_BYTES} random bytes, for the welcome
 */
export function judgeJoin(held: JoinTokens | undefined, shown: Uint8Array | undefined, fresh: Uint8Array): JoinVerdict {
  const known = held === undefined || same(shown, held.current) || same(shown, held.previous);
  return known ? { kind: "join", tokens: { current: fresh, previous: shown } } : { kind: "stale" };
}

function same(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
