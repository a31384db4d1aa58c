/**
 * The two web globals that this package names in its public types. Node and browsers both have them;
 * declaring only what is used keeps `node:*`, timers and `Buffer` out of reach of the sans-IO core.
 */
interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: any;
  addEventListener(type: "abort", listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: "abort", listener: () => void): void;
  throwIfAborted(): void;
}
