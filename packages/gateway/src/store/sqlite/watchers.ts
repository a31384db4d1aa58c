import type { StoreChange } from "../port.ts";
import type { TaskRow } from "../rows.ts";
import type { UnitName, UnitOutput } from "./units.ts";
import type { Reply } from "./wire.ts";

/** Who wants to know what was committed. */
export class Watchers {
  readonly #listeners = new Set<(change: StoreChange) => void>();

  add(listener: (change: StoreChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Read a reply for what it changed. */
  note(unit: UnitName, reply: Reply): void {
    if (!reply.ok || this.#listeners.size === 0) return;
    const change = changeOf(unit, reply.value);
    if (change === undefined) return;
    for (const listener of this.#listeners) listener(change);
  }
}

/** The reply's type follows from the unit's name; {@link WorkerClient.call} relies on the same. */
function changeOf(unit: UnitName, value: unknown): StoreChange | undefined {
  switch (unit) {
    case "events.append": {
      const appended = value as UnitOutput<"events.append">;
      if (appended.kind !== "stored") return undefined;
      const { tasks, lastOffset: latest, page } = appended;
      return { latest, tasks, ...(page !== undefined && { page }) };
    }
    case "events.record":
      return change([], value as UnitOutput<"events.record">);
    case "tasks.submit": {
      const submitted = value as UnitOutput<"tasks.submit">;
      return submitted.kind === "created" ? change([submitted.task]) : undefined;
    }
    case "tasks.step": {
      const stepped = value as UnitOutput<"tasks.step">;
      return stepped?.changed === true ? change([stepped.task]) : undefined;
    }
    case "tasks.renew":
    case "tasks.resume":
      return change((value as UnitOutput<"tasks.renew">).renewed);
    case "tasks.disconnect":
    case "tasks.adopt":
      return change(value as UnitOutput<"tasks.disconnect">);
    case "devices.revoke": {
      const { tasks, latest } = value as UnitOutput<"devices.revoke">;
      return { latest, tasks, devices: true };
    }
    case "devices.enroll":
      return { ...NOTHING, devices: true };
    case "policies.put":
      return { ...NOTHING, policy: value as UnitOutput<"policies.put"> };
    default:
      return undefined;
  }
}

const NOTHING = { latest: undefined, tasks: [] } as const;

function change(tasks: readonly TaskRow[], latest?: number): StoreChange | undefined {
  return tasks.length === 0 && latest === undefined ? undefined : { latest, tasks };
}
