import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Asked, CallInput, CallName, CallOutput, Role, Said } from "./calls.ts";

const WORKER = fileURLToPath(new URL("worker.ts", import.meta.url));

/** A process of the suite. One call at a time. */
export class Helper implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #name: string;
  /** Of a gateway: where it listens. */
  port = 0;

  private constructor(child: ChildProcess, name: string) {
    this.#child = child;
    this.#name = name;
  }

  /** Start it and wait until it is up. @throws {Error} when it does not come up */
  static async start(role: Role, profileDir: string | null): Promise<Helper> {
    const profile = profileDir === null ? [] : ["--cpu-prof", `--cpu-prof-dir=${profileDir}`];
    const child = fork(WORKER, [JSON.stringify(role)], {
      execArgv: ["-C", "@quaymesh/source", ...profile],
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      serialization: "advanced",
    });
    const helper = new Helper(child, role.kind);
    const said = await helper.#hear();
    if (said.kind === "up") helper.port = said.port;
    return helper;
  }

  /** @throws {Error} when the process says that it failed, or ends */
  async ask<N extends CallName>(name: N, input: CallInput<N>): Promise<CallOutput<N>> {
    this.#child.send({ name, input } satisfies Asked);
    const said = await this.#hear();
    if (said.kind === "answer") return said.value as CallOutput<N>;
    throw new Error(said.kind === "failed" ? `${this.#name}, ${name}: ${said.message}` : `${this.#name} began anew`);
  }

  async #hear(): Promise<Said> {
    const done = new AbortController();
    const { signal } = done;
    const ended = once(this.#child, "exit", { signal }).then(([code, name]): never => {
      throw new Error(`the ${this.#name} ended: ${String(name ?? code)}`);
    });
    ended.catch(() => {});
    try {
      const [said]: Said[] = await Promise.race([once(this.#child, "message", { signal }), ended]);
      if (said === undefined) throw new Error(`the ${this.#name} said nothing`);
      return said;
    } finally {
      done.abort();
    }
  }

  /** It ends by itself when nobody is there to ask it. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, "exit");
    if (this.#child.connected) this.#child.disconnect();
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 10_000);
    await exit;
    clearTimeout(timer);
  }
}
