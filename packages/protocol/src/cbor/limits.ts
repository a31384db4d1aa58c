/** What a CBOR value may be at most; checked while it is read, before anything is allocated for it. */
export interface CborLimits {
  /** Arrays and maps inside each other; a bare scalar has depth 0. */
  readonly maxDepth: number;
  /** The root, each array element and each map entry count one. */
  readonly maxItems: number;
  /** UTF-8 bytes of a map key. */
  readonly maxKeyBytes: number;
}

/** Limits of a frame. docs/wire.md, "CBOR profile". */
export const FRAME_LIMITS: CborLimits = { maxDepth: 8, maxItems: 4096, maxKeyBytes: 64 };

/** Limits of what applications carry inside byte strings: event data, task inputs and outputs. */
export const VALUE_LIMITS: CborLimits = { maxDepth: 32, maxItems: 1_000_000, maxKeyBytes: 1024 };

/** Keys that name a prototype in JavaScript; no map may hold them, so no peer can reach one. */
export const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);
