/** Values as the `--json` twins print them: times in RFC 3339, byte strings marked so that they read back. */

/** A byte string in JSON: `{ "$bytes": "<base64>" }`, in what is printed and in task input alike. */
interface JsonBytes {
  readonly $bytes: string;
}

/**
 * Copy `record` with these Unix-millisecond fields as RFC 3339 text; a field that is `undefined` becomes `null`.
 */
export function withTimes<T extends object, K extends keyof T>(
  record: T,
  fields: readonly K[],
): Omit<T, K> & Record<K, string | null> {
  const times = fields.map((field) => {
    const value = record[field];
    return [field, typeof value === "number" ? new Date(value).toISOString() : null] as const;
  });
  return { ...record, ...(Object.fromEntries(times) as Record<K, string | null>) };
}

/** A decoded CBOR value as JSON can carry it. */
export function toJson(value: unknown): unknown {
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString("base64") } satisfies JsonBytes;
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, toJson(inner)]));
  }
  return value === undefined ? null : value;
}

/** The inverse of {@link toJson}: marked byte strings become bytes. */
export function fromJson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromJson);
  if (typeof value !== "object" || value === null) return value;
  if ("$bytes" in value && typeof value.$bytes === "string" && Object.keys(value).length === 1) {
    return new Uint8Array(Buffer.from(value.$bytes, "base64"));
  }
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, fromJson(inner)]));
}
