import type { NodeLog } from "../node-log.ts";
import type { Throttle } from "./publish-pump.ts";

/** A gateway that takes no events now, as the status tells of it. */
export interface ThrottledState {
  /** `rate`, `quota` or `store`. docs/wire.md, "Publishing". */
  readonly reason: string;
  readonly since: number;
  /** When the node tries again, Unix milliseconds. */
  readonly until: number;
}

const MESSAGES: Readonly<Record<string, string>> = {
  rate: "the gateway takes events of this device more slowly than they come",
  quota: "this device holds as much of the gateway's log as it may: events wait here until older ones go there",
  store: "the gateway has no room for events: they wait here",
};

/** What a reason of `throttle` means, for people. */
export function throttleText(reason: string): string {
  return MESSAGES[reason] ?? "the gateway takes no events now: they wait here";
}

/** What the gateway said of taking events: one line when it begins to refuse and one when it ends, however often it says so in between. */
export class ThrottleNotice {
  readonly #log: NodeLog;
  readonly #now: () => number;
  readonly #onChange: () => void;
  #state: ThrottledState | undefined;

  constructor(options: { readonly log: NodeLog; readonly now: () => number; readonly onChange: () => void }) {
    this.#log = options.log;
    this.#now = options.now;
    this.#onChange = options.onChange;
  }

  /** Undefined while it takes events. */
  get state(): ThrottledState | undefined {
    return this.#state;
  }

  /** The gateway has answered. */
  readonly heard = (pause: Throttle | undefined): void => {
    const before = this.#state;
    const now = this.#now();
    if (pause === undefined) {
      // What was on its way before the refusal is still acknowledged: the pause says how long that can be.
      if (before === undefined || now < before.until) return;
      this.#state = undefined;
      this.#log.line({ level: "info", event: "publish.resumed", message: "the gateway takes events again" });
    } else {
      const { reason, retryAfterMs } = pause;
      this.#state = { reason, since: before?.since ?? now, until: now + retryAfterMs };
      if (before !== undefined) return this.#onChange();
      const details = { reason, retryAfterMs };
      this.#log.line({ level: "warn", event: "publish.throttled", message: throttleText(reason), details });
    }
    this.#onChange();
  };
}
