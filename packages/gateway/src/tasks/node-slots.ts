import type { Capability } from "@quaymesh/protocol";
import type { LiveSession } from "../sessions/live-session.ts";
import type { TaskRow, TaskTarget } from "../store/rows.ts";

/** Attempts of one definition at once, where the node names no number: its own limit holds, and it turns down what is too much. */
const DEFAULT_CONCURRENCY = 8;

interface Slot {
  readonly definition: string;
  readonly exclusive: boolean;
}

/** What one online node offers, and what of it is taken. */
export class NodeSlots {
  readonly session: LiveSession;
  readonly labels: readonly string[];
  /** An exclusive task that waits for this node to be empty: nothing else may start on it. */
  reservedFor: string | undefined;
  readonly #taken = new Map<string, Slot>();
  #offers = new Map<string, number>();

  constructor(session: LiveSession, labels: readonly string[], capabilities: readonly Capability[]) {
    this.session = session;
    this.labels = labels;
    this.offer(capabilities);
  }

  /** The node's offer has changed. */
  offer(capabilities: readonly Capability[]): void {
    this.#offers = new Map(capabilities.map(({ name, concurrency }) => [name, concurrency ?? DEFAULT_CONCURRENCY]));
  }

  /** Attempts it could run at once. */
  get slots(): number {
    return [...this.#offers.values()].reduce((sum, count) => sum + count, 0);
  }

  get running(): number {
    return this.#taken.size;
  }

  /** Tasks that take a slot. */
  get taken(): Iterable<string> {
    return this.#taken.keys();
  }

  take(task: Pick<TaskRow, "taskId" | "definition" | "exclusive">): void {
    this.#taken.set(task.taskId, { definition: task.definition, exclusive: task.exclusive });
    this.unreserve(task.taskId);
  }

  release(taskId: string): void {
    this.#taken.delete(taskId);
  }

  /** The exclusive task no longer waits. */
  unreserve(taskId: string): void {
    if (this.reservedFor === taskId) this.reservedFor = undefined;
  }

  /** Whether the node is one that `target` means, and offers `definition`. */
  suits(definition: string, target: TaskTarget): boolean {
    if (!this.#offers.has(definition)) return false;
    switch (target.kind) {
      case "device":
        return this.session.deviceId === target.deviceId;
      case "label":
        return this.labels.includes(target.label);
      case "any":
        return true;
      default:
        return target satisfies never;
    }
  }

  /** Whether `task` may start here now. */
  hasRoomFor(task: TaskRow): boolean {
    if (this.reservedFor !== undefined && this.reservedFor !== task.taskId) return false;
    let same = 0;
    for (const slot of this.#taken.values()) {
      if (slot.exclusive || task.exclusive) return false;
      if (slot.definition === task.definition) same += 1;
    }
    return same < (this.#offers.get(task.definition) ?? 0);
  }
}
