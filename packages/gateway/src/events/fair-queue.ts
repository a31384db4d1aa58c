/**
 * Work of many, with room for some of it at a time. Whose turn it is goes round (deficit round robin, Shreedhar and Varghese 1995): each gets the same weight per round, however much
 * of it waits, so that what one of a flood waits for is its own. Work of one key begins in the order in which it came.
 */
export class FairQueue {
  readonly #maxWeight: number;
  readonly #quantum: number;
  /** In turn; the first is next. */
  readonly #lanes = new Map<string, Lane>();
  #weight = 0;

  /** @param options.maxWeight under way at a time; a single piece may exceed it. `quantum`: what one may begin per turn */
  constructor(options: { readonly maxWeight: number; readonly quantum: number }) {
    this.#maxWeight = options.maxWeight;
    this.#quantum = options.quantum;
  }

  /** Pieces that wait for their turn. */
  get waiting(): number {
    let sum = 0;
    for (const { waiting } of this.#lanes.values()) sum += waiting.length;
    return sum;
  }

  /** Pieces of one that wait for their turn. */
  waitingOf(key: string): number {
    return this.#lanes.get(key)?.waiting.length ?? 0;
  }

  /** Do `work` when it is its turn. @param weight more than 0 @returns what it gives */
  run<T>(key: string, weight: number, work: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const begin = (): void => {
        this.#weight += weight;
        (async () => await work())()
          .then(resolve, reject)
          .finally(() => {
            this.#weight -= weight;
            this.#beginNext();
          });
      };
      const lane = this.#lanes.get(key) ?? { deficit: 0, inTurn: false, waiting: [] };
      lane.waiting.push({ weight, begin });
      this.#lanes.set(key, lane);
      this.#beginNext();
    });
  }

  #beginNext(): void {
    while (this.#weight < this.#maxWeight) {
      const [next] = this.#lanes;
      if (next === undefined) return;
      const [key, lane] = next;
      if (!lane.inTurn) lane.deficit += this.#quantum;
      lane.inTurn = true;
      const [piece] = lane.waiting;
      // Whoever has nothing to do saves nothing up.
      if (piece === undefined) this.#lanes.delete(key);
      else if (piece.weight <= lane.deficit) {
        lane.waiting.shift();
        lane.deficit -= piece.weight;
        piece.begin();
      } else this.#endTurn(key, lane);
    }
  }

  /** To the end of the line, with what is left of the share. */
  #endTurn(key: string, lane: Lane): void {
    lane.inTurn = false;
    this.#lanes.delete(key);
    this.#lanes.set(key, lane);
  }
}

interface Lane {
  deficit: number;
  inTurn: boolean;
  readonly waiting: { readonly weight: number; readonly begin: () => void }[];
}
