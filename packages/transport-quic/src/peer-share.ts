import type { ListenerCut } from "@quaymesh/protocol";
import { WorkShare } from "./work-share.ts";
import type { Share, WorkLimits } from "./work-share.ts";

/** How a listener holds its peers to what one connection may ask. */
export interface PeerBounds {
  readonly limits: WorkLimits;
  /** The connection is ended for this. */
  cut(reason: ListenerCut): void;
  /** New streams have to wait. */
  throttled(): void;
}

/** What is under way when a connection has had as many streams as it may gets this long. */
const RETIRE_MS = 3000;

/** Holds the peer of one connection to its listener's bounds. A dialer has none, and its peer is held to nothing. */
export class PeerShare {
  readonly #bounds: PeerBounds | undefined;
  readonly #wake: () => void;
  /** Made with the first stream: most connections of a large mesh are idle. */
  #work: WorkShare | undefined;
  /** Until streams that had to wait are looked at again. */
  #pause: NodeJS.Timeout | undefined;
  #hasExceeded = false;
  /** Once a stream came that is one too many: when the connection is ended, whatever is still under way. */
  #retireBy = Infinity;

  /** @param wake have the connection looked at in the next turn */
  constructor(bounds: PeerBounds | undefined, wake: () => void) {
    this.#bounds = bounds;
    this.#wake = wake;
  }

  /** A turn begins. */
  beginTurn(): void {
    this.#work?.beginTurn();
  }

  /** Why the connection should end: at once for `resets`; for `streams` when nothing is under way any more, at {@link PeerShare.dueAt} at the latest. */
  get concern(): "resets" | "streams" | undefined {
    if (this.#hasExceeded) return "resets";
    return this.#retireBy === Infinity ? undefined : "streams";
  }

  /** When the connection has to be looked at, of `performance.now()`; `Infinity`: never. */
  get dueAt(): number {
    return this.#retireBy;
  }

  /** The connection is ended for this. */
  cut(reason: ListenerCut): void {
    this.#bounds?.cut(reason);
  }

  /** Whether this stream may be one of the connection's; where not, it has had its last. */
  admits(id: number): boolean {
    // Two bits say whose and which way.
    if (this.#bounds === undefined || id >>> 2 < this.#bounds.limits.maxStreamsEver) return true;
    if (this.#retireBy === Infinity) {
      this.#retireBy = performance.now() + RETIRE_MS;
      // This turn may be past the point where it is looked at.
      setImmediate(this.#wake);
    }
    return false;
  }

  /** Of `wanted` new streams of the peer's, how many may be taken up now. The connection is woken for the others. */
  take(wanted: number): number {
    const share: Share = this.#made()?.grant(wanted, performance.now()) ?? { kind: "all" };
    switch (share.kind) {
      case "all":
        return wanted;
      case "turn":
        // The turn after the next: what others sent meanwhile is read before.
        setImmediate(this.#wake);
        return share.granted;
      case "throttled":
        this.#bounds?.throttled();
        this.#pause ??= setTimeout(this.#resume, share.pauseMs);
        return share.granted;
    }
    return share satisfies never;
  }

  /** The peer reset a stream. */
  streamReset(): void {
    if (this.#made()?.reset(performance.now()) === false) this.#hasExceeded = true;
  }

  /** The connection is over. */
  end(): void {
    clearTimeout(this.#pause);
  }

  readonly #resume = (): void => {
    this.#pause = undefined;
    this.#wake();
  };

  #made(): WorkShare | undefined {
    if (this.#bounds !== undefined) this.#work ??= new WorkShare(this.#bounds.limits, performance.now());
    return this.#work;
  }
}
