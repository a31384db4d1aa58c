/** What a process occupies, in bytes, with as little garbage as can be. */
export interface MemoryBytes {
  /** Resident, all of it: native memory included, the kernel's socket buffers not. */
  readonly rss: number;
  /** Of JavaScript objects. */
  readonly heap: number;
  /** Of buffers and what bindings have told of. */
  readonly external: number;
}

/** Finalizers of a first collection free what only a second one sees. */
const COLLECTIONS = 3;

/** Collect garbage, and leave V8 the memory it has taken for its work. @throws {Error} in a process without `--expose-gc` */
export function collectGarbage(): void {
  collector()();
}

/** Collect garbage thoroughly and look. @throws {Error} in a process without `--expose-gc` */
export async function memoryAfterGc(): Promise<MemoryBytes> {
  const collect = collector();
  for (let pass = 0; pass < COLLECTIONS; pass++) {
    // The one kind that also gives back the pages V8 keeps for later: tens of megabytes, which come and go with what was done last.
    collect({ type: "major", execution: "sync", flavor: "last-resort" });
    await new Promise(setImmediate);
  }
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rss, heap: heapUsed, external };
}

function collector(): NonNullable<typeof globalThis.gc> {
  if (globalThis.gc === undefined) throw new Error("this worker cannot collect garbage");
  return globalThis.gc;
}
