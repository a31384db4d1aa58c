/** Why a step of the demo failed: what was expected, and the last words of the process that did not do it. */
export class DemoError extends Error {
  override readonly name = "DemoError";
  readonly code = "DEMO_FAILED";
  /** The last lines of a child's stderr, oldest first. */
  readonly seen: readonly string[];
  constructor(message: string, options?: ErrorOptions & { readonly seen?: readonly string[] }) {
    super(message, options);
    this.seen = options?.seen ?? [];
  }
}

/** @throws {DemoError} unless `condition` holds */
export function expect(condition: boolean, message: () => string): asserts condition {
  if (!condition) throw new DemoError(message());
}
