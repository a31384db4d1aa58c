import type { World } from "../world.ts";
import type { Given, Handed, SimJoiner } from "./joiner.ts";
import { askGateway, readOff, type DeskOnline } from "./operator.ts";

/** What {@link Fleet} takes. */
export interface FleetOptions {
  readonly world: World;
  readonly desk: () => DeskOnline | undefined;
  /** Devices the ticket is for. */
  readonly uses: number;
  /** Who may get it, in this order. */
  readonly joiners: readonly SimJoiner[];
  /** Whether a window is open and lets somebody in, as the gateway's disk has it. */
  readonly hasPlaces: (windowId: string) => boolean;
  /** Whether faults are over. */
  readonly isCalm: () => boolean;
  /** The ticket is on a screen. */
  readonly onShown: (codes: readonly Handed[]) => void;
  readonly onError: (what: string, cause: unknown) => void;
}

const AGAIN_MS = 400;
/** From one machine to the next. */
const WALK_MS = 300;
/** It is to outlast whatever goes wrong. */
const TTL_MS = 600_000;

/** Somebody who has a pre-approved ticket made, carries it from machine to machine, and does not come back. */
export class Fleet {
  readonly #options: FleetOptions;
  #ticket: { readonly windowId: string; readonly handed: Given } | undefined;
  readonly #given = new Set<SimJoiner>();
  #over = false;

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  /** Whether every machine that has the ticket is in, or the ticket has let in as many as it may. */
  get isDone(): boolean {
    const { hasPlaces } = this.#options;
    if (!this.#over || this.#ticket === undefined) return this.#over;
    const { windowId, handed } = this.#ticket;
    return [...this.#given].every((joiner) => !joiner.isTryingWith(handed)) || !hasPlaces(windowId);
  }

  start(): void {
    void this.#run();
  }

  async #run(): Promise<void> {
    const { isCalm, joiners, onShown, uses } = this.#options;
    const named = {
      name: "",
      labels: [],
      purpose: "fleet",
      code: "ticket",
      ttlMs: TTL_MS,
      preapproved: true,
      uses,
    } as const;
    while (this.#ticket === undefined && !isCalm()) {
      const opened = await this.#ask(({ desk }) => desk.open(named));
      const [handed] = opened === undefined ? [] : readOff(opened);
      if (opened === undefined || handed === undefined) {
        await this.#pause(AGAIN_MS);
        continue;
      }
      onShown([handed]);
      this.#ticket = { windowId: opened.windowId, handed };
    }
    if (this.#ticket !== undefined) {
      const { handed } = this.#ticket;
      for (const joiner of joiners) {
        await this.#pause(WALK_MS);
        // Whoever has another code in hand is somebody else's business.
        if (joiner.isTrying || joiner.identity !== undefined) continue;
        joiner.give(handed);
        this.#given.add(joiner);
      }
    }
    this.#over = true;
  }

  async #ask<T>(call: (online: DeskOnline) => Promise<T>): Promise<T | undefined> {
    const online = this.#options.desk();
    return online && (await askGateway(online, () => call(online), this.#options.onError));
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#options.world.after(ms, resolve);
    });
  }
}
