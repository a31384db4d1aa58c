/** Wait for a condition, not for a time: `check` is asked again until it gives something, or throws what it threw last after `timeoutMs`. */
export async function eventually<T>(
  check: () => T | Promise<T>,
  timeoutMs = 30_000,
): Promise<Exclude<T, false | null | undefined>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    let failure: unknown = new Error("the condition never came true");
    try {
      const value = await check();
      if (isThere(value)) return value;
    } catch (error) {
      failure = error;
    }
    if (performance.now() > deadline) throw failure;
    await new Promise((resolve) => {
      setTimeout(resolve, 2);
    });
  }
}

function isThere<T>(value: T): value is Exclude<T, false | null | undefined> {
  return value !== undefined && value !== null && value !== false;
}
