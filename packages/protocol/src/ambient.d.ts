/**
 * The few web globals that this package names: one in its public types, the text codecs in its own CBOR. Node and
 * browsers both have them; declaring only what is used keeps `node:*`, timers and `Buffer` out of reach of the sans-IO
 * core.
 */
interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: "abort", listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: "abort", listener: () => void): void;
  throwIfAborted(): void;
}

/** UTF-8 encoder (WHATWG Encoding). */
declare class TextEncoder {
  encode(text: string): Uint8Array;
  encodeInto(text: string, target: Uint8Array): { readonly read: number; readonly written: number };
}

/** UTF-8 decoder (WHATWG Encoding). */
declare class TextDecoder {
  constructor(label: "utf-8", options: { readonly fatal: boolean; readonly ignoreBOM: boolean });
  decode(bytes: Uint8Array): string;
}
