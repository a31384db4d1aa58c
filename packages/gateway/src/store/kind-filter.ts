/** Kinds as filters of the log name them. */

/** Whether a kind is one of those that a filter names: exact, or a prefix that ends in `*`. None named: every kind passes. */
export function kindFilter(kinds: readonly string[] = []): (kind: string) => boolean {
  if (kinds.length === 0) return () => true;
  const exact = new Set(kinds);
  const prefixes = kinds.filter((kind) => kind.endsWith("*")).map((kind) => kind.slice(0, -1));
  return (kind) => exact.has(kind) || prefixes.some((prefix) => kind.startsWith(prefix));
}
