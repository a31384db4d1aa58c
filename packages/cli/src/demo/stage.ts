import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Child, type Line } from "./child.ts";

const COMMAND = fileURLToPath(new URL("../../bin/quaymesh.js", import.meta.url));

/** Where the demo plays: a fresh directory, and every process it starts. Disposing ends them and removes it. */
export class Stage implements AsyncDisposable {
  readonly directory: string;
  readonly signal: AbortSignal;
  readonly #children = new AsyncDisposableStack();

  private constructor(directory: string, signal: AbortSignal) {
    this.directory = directory;
    this.signal = signal;
  }

  /** Make the directory; private, as it will hold keys. */
  static async open(signal: AbortSignal): Promise<Stage> {
    return new Stage(await mkdtemp(join(tmpdir(), "quaymesh-demo-")), signal);
  }

  /** A path inside the directory. */
  path(name: string): string {
    return join(this.directory, name);
  }

  /** Start `quaymesh` with these words and `--json`. */
  command(name: string, words: readonly string[], onLine?: (line: Line) => void): Child {
    return this.#start({ name, args: [COMMAND, ...words, "--json"], ...(onLine && { onLine }) });
  }

  /** Start a module of the demo itself, as an application that embeds a node would be. */
  module(name: string, url: URL, words: readonly string[]): Child {
    // The sources run as sources, whatever an installed copy would do.
    const execArgv = url.pathname.endsWith(".ts") ? ["-C", "@quaymesh/source"] : [];
    return this.#start({ name, args: [fileURLToPath(url), ...words], execArgv });
  }

  /** Run `quaymesh` to its end and return what it printed last. @throws {DemoError} when it fails */
  async run(name: string, words: readonly string[]): Promise<Line> {
    let last: Line | undefined;
    await using child = this.command(name, words, (line) => (last = line));
    await child.exit(0);
    if (last === undefined) throw child.failure(`${name} printed nothing`);
    return last;
  }

  #start(options: ChildStart): Child {
    return this.#children.use(Child.start({ ...options, env: environment(), signal: this.signal }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#children.disposeAsync();
    } finally {
      await rm(this.directory, { recursive: true, force: true });
    }
  }
}

interface ChildStart {
  readonly name: string;
  readonly args: readonly string[];
  readonly execArgv?: readonly string[];
  readonly onLine?: (line: Line) => void;
}

/** What a child needs of the environment, and nothing that would send it to somebody's real mesh. */
function environment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("QUAYMESH_") && name !== "NODE_OPTIONS");
  return { ...Object.fromEntries(kept), NO_COLOR: "1" };
}
