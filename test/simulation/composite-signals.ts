/** Node keeps a signal that was made of others for as long as somebody listens to it, and whoever is killed listens for ever. */
import { getEventListeners } from "node:events";

const made: AbortSignal[] = [];
let watched = false;

/** Note the signals that are made of others from now on; once per process. */
export function watchCompositeSignals(): void {
  if (watched) return;
  watched = true;
  const any = AbortSignal.any.bind(AbortSignal);
  AbortSignal.any = (signals) => {
    const signal = any(signals);
    made.push(signal);
    return signal;
  };
}

/** Nobody listens any more to those that were made so far: whoever did is over. */
export function forgetCompositeSignals(): void {
  for (const signal of made.splice(0)) {
    for (const listener of getEventListeners(signal, "abort")) {
      signal.removeEventListener("abort", listener as () => void);
    }
  }
}
