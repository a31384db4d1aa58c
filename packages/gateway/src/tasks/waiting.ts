import type { TaskRow } from "../store/rows.ts";

/** Tasks of one definition and one target: whoever may take the first may take each, so that a pass looks at groups, not at tasks. */
export interface WaitingGroup {
  readonly key: string;
  readonly definition: string;
  readonly target: TaskRow["target"];
  /** In the order in which they came to wait. */
  readonly tasks: Map<string, TaskRow>;
}

/** Tasks that wait for a node. */
export class WaitingTasks {
  readonly #groups = new Map<string, WaitingGroup>();
  readonly #groupOf = new Map<string, WaitingGroup>();

  get size(): number {
    return this.#groupOf.size;
  }

  has(taskId: string): boolean {
    return this.#groupOf.has(taskId);
  }

  add(task: TaskRow): void {
    if (this.#groupOf.has(task.taskId)) return;
    const key = keyOf(task);
    const { definition, target } = task;
    const group = this.#groups.get(key) ?? { key, definition, target, tasks: new Map() };
    this.#groups.set(key, group);
    group.tasks.set(task.taskId, task);
    this.#groupOf.set(task.taskId, group);
  }

  remove(taskId: string): void {
    const group = this.#groupOf.get(taskId);
    if (group === undefined) return;
    this.#groupOf.delete(taskId);
    group.tasks.delete(taskId);
    if (group.tasks.size === 0) this.#groups.delete(group.key);
  }

  /** The groups as they are now; removing while iterating is fine. */
  groups(): readonly WaitingGroup[] {
    return [...this.#groups.values()];
  }
}

function keyOf({ definition, target }: TaskRow): string {
  switch (target.kind) {
    case "device":
      return `device ${target.deviceId} ${definition}`;
    case "label":
      return `label ${JSON.stringify(target.label)} ${definition}`;
    case "any":
      return `any ${definition}`;
    default:
      return target satisfies never;
  }
}
