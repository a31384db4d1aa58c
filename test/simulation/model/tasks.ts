import { decodeValue } from "@quaymesh/protocol";
import { isTerminal, type TaskRow } from "../../../packages/gateway/src/store/rows.ts";
import type { SimDatabase } from "../database.ts";
import type { Process } from "../process.ts";
import { Violation } from "../violation.ts";

/** What the gateway says of nodes that break the rules. */
const BLAMES = new Set(["OUTPUT_INCOMPLETE", "OUTPUT_INVALID", "OUTPUT_TOO_LARGE", "RESULT_INVALID"]);

interface Run {
  readonly task: number;
  readonly attempt: number;
  readonly process: Process;
  active: boolean;
}

/** What tasks have to do. */
export class ModelTasks {
  readonly #idempotent: readonly boolean[];
  readonly #runs: Run[] = [];
  readonly #rows = new Map<string, TaskRow>();
  /** By the plan's number: its id, once somebody was told it. */
  readonly #ids = new Map<number, string>();

  /** @param idempotent of each of the plan's tasks, by its number */
  constructor(idempotent: readonly boolean[]) {
    this.#idempotent = idempotent;
  }

  /** The id of a task that was taken. */
  idOf(task: number): string | undefined {
    return this.#ids.get(task);
  }

  /** Whether it has ended. */
  hasEnded(task: number): boolean {
    const row = this.#rows.get(this.#ids.get(task) ?? "");
    return row !== undefined && isTerminal(row.state);
  }

  /** Where everything is, for people. */
  describe(): string {
    return [...this.#rows.values()]
      .map(({ state, token, attempt }) => `${state} #${String(token)}/${String(attempt)}`)
      .join(", ");
  }

  /** Whether some handler runs. */
  get isBusy(): boolean {
    return this.#runs.some((run) => run.active && run.process.alive);
  }

  /** An operator was told this id for the plan's task. */
  taken(task: number, taskId: string): void {
    const before = this.#ids.get(task);
    if (before !== undefined && before !== taskId) {
      throw new Violation("one-task-per-key", `task ${String(task)} is ${before} and ${taskId}`);
    }
    this.#ids.set(task, taskId);
  }

  /** A handler begins. @returns its number */
  started(task: number, attempt: number, process: Process): number {
    const others = this.#runs.filter((run) => run.task === task && run.active && run.process.alive);
    if (others.length > 0 && this.#idempotent[task] !== true) {
      const where = [...others.map((run) => run.process), process].map(({ machine }) => machine.name).join(" and ");
      throw new Violation("never-two-at-once", `task ${String(task)} runs on ${where}`);
    }
    return this.#runs.push({ task, attempt, process, active: true }) - 1;
  }

  /** It is over, however. */
  stopped(run: number): void {
    const ended = this.#runs[run];
    if (ended !== undefined) ended.active = false;
  }

  /** Something was committed. */
  committed(database: SimDatabase): void {
    const rows = database.read("tasks.list", { limit: 1000, activeOnly: false });
    if (rows.length > this.#idempotent.length) {
      throw new Violation(
        "one-task-per-key",
        `${String(rows.length)} tasks where ${String(this.#idempotent.length)} were asked for`,
      );
    }
    for (const row of rows) {
      const before = this.#rows.get(row.taskId);
      if (before !== undefined) checkChange(before, row);
      if (row.attempt > row.maxAttempts) {
        throw new Violation(
          "attempts-are-bounded",
          `${row.taskId} is at ${String(row.attempt)} of ${String(row.maxAttempts)}`,
        );
      }
      if (row.error !== undefined && BLAMES.has(row.error.code)) {
        throw new Violation("results-are-whole", `${row.taskId} ended with ${row.error.code}, and its node was honest`);
      }
      if (row.state === "succeeded" && before?.state !== "succeeded") this.#checkResult(row, database);
      this.#rows.set(row.taskId, row);
    }
  }

  #checkResult(row: TaskRow, database: SimDatabase): void {
    const pieces = database.read("tasks.read-output", { taskId: row.taskId, index: 0, limit: 100 });
    const output = decodeValue(new Uint8Array(Buffer.concat(pieces)));
    const number = typeof output === "object" && output !== null && "run" in output ? Number(output.run) : -1;
    const run = this.#runs[number];
    const id = run === undefined ? undefined : this.#ids.get(run.task);
    if (run === undefined || run.attempt !== row.attempt || (id !== undefined && id !== row.taskId)) {
      const what =
        run === undefined ? "nobody's" : `that of attempt ${String(run.attempt)} of task ${String(run.task)}`;
      throw new Violation(
        "result-of-the-lease",
        `${row.taskId} is at attempt ${String(row.attempt)}, the result is ${what}`,
      );
    }
  }
}

function checkChange(before: TaskRow, row: TaskRow): void {
  if (row.token < before.token || row.token > before.token + 1) {
    throw new Violation(
      "tokens-grow-by-one",
      `${row.taskId} went from ${String(before.token)} to ${String(row.token)}`,
    );
  }
  if (row.token === before.token && before.token > 0 && row.deviceId !== before.deviceId) {
    throw new Violation("one-holder-per-token", `${row.taskId} changed hands under ${String(row.token)}`);
  }
  if (!isTerminal(before.state)) return;
  const same = row.state === before.state && row.attempt === before.attempt && row.outputBytes === before.outputBytes;
  if (!same || row.token !== before.token) {
    throw new Violation("an-end-is-an-end", `${row.taskId} was ${before.state} and is ${row.state}`);
  }
}
