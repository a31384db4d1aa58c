import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { SocketAddress } from "@quaymesh/protocol";

/** What a node's process is told. */
export interface NodeChildOptions {
  /** The state directory of a paired node. */
  readonly state: string;
  /** Where it dials. */
  readonly gateway: SocketAddress;
  readonly idleTimeoutMs: number;
  readonly keepAliveMs: number;
}

const CHILD = fileURLToPath(new URL("node-child.ts", import.meta.url));

/** A node in a process of its own. */
export class NodeProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #exited: Promise<unknown>;

  /** @param prefix a command that runs another: `["ip", "netns", "exec", name]` */
  constructor(options: NodeChildOptions, prefix: readonly string[] = []) {
    const command = [...prefix, process.execPath, "-C", "@quaymesh/source", CHILD, JSON.stringify(options)];
    const [file = "", ...args] = command;
    this.#child = spawn(file, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.#exited = once(this.#child, "exit");
    if (this.#child.stdout === null) throw new Error("the child has no output");
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** Wait until its link says that it is in this state. @returns milliseconds waited @throws where the process ends first */
  async becomes(kind: string): Promise<number> {
    const began = performance.now();
    for (;;) {
      const line = await this.#lines.next();
      if (line.done === true) throw new Error(`the node's process ended before its link was ${kind}`);
      const state = JSON.parse(line.value) as { readonly kind: string };
      if (state.kind === kind) return performance.now() - began;
    }
  }

  /** As when a laptop's lid closes: it stands still, clocks go on. */
  sleep(): void {
    this.#child.kill("SIGSTOP");
  }

  wake(): void {
    this.#child.kill("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.wake();
    this.#child.stdin?.end();
    await this.#exited;
  }
}
