/** Signatures and keys come from the operating system's threads, in real time. In virtual time they take none: a step is over when they are. */
import { webcrypto } from "node:crypto";

const underWay = new Set<Promise<unknown>>();
let watched = false;

/** Have the clock wait for the platform's cryptography; once per process, before anything that uses it is simulated. */
export function watchRealWork(): void {
  if (watched) return;
  watched = true;
  const { subtle } = webcrypto;
  for (const name of ["sign", "verify", "importKey", "exportKey", "generateKey", "digest"] as const) {
    const real: (...input: never[]) => Promise<unknown> = subtle[name].bind(subtle);
    const counted = (...input: never[]): Promise<unknown> => {
      const work = real(...input);
      underWay.add(work);
      void Promise.allSettled([work]).then(() => underWay.delete(work));
      return work;
    };
    Object.defineProperty(subtle, name, { value: counted, configurable: true });
  }
}

/** Wait for what is under way. @returns whether anything was */
export async function settleRealWork(): Promise<boolean> {
  if (underWay.size === 0) return false;
  await Promise.allSettled(underWay);
  return true;
}
