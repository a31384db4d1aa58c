import { execFileSync, spawnSync } from "node:child_process";

/** Why network namespaces cannot be had here; `undefined`: they can. */
export function whyNoNamespaces(): string | undefined {
  if (process.platform !== "linux") return "network namespaces are Linux's";
  if (process.getuid?.() !== 0) return "network namespaces need root";
  const name = `quaymesh-probe-${process.pid}`;
  const made = spawnSync("ip", ["netns", "add", name], { encoding: "utf8" });
  if (made.error !== undefined) return "the `ip` command is absent";
  if (made.status !== 0) return `\`ip netns add\` says: ${made.stderr.trim()}`;
  ip("netns", "del", name);
  return undefined;
}

const ip = (...args: string[]): void => {
  execFileSync("ip", args, { stdio: ["ignore", "ignore", "pipe"] });
};

let made = 0;

/** A network namespace with a cable to this one. Disposing removes both. */
export class Namespace implements Disposable {
  readonly name: string;
  readonly #here: string;
  readonly #there: string;
  /** Of the /24 that both ends have. */
  readonly #prefix: string;

  constructor() {
    made += 1;
    const id = `${process.pid % 100_000}-${made}`;
    this.name = `quaymesh-${id}`;
    this.#here = `qmh${id}`;
    this.#there = `qmt${id}`;
    this.#prefix = `10.203.${(process.pid * 7 + made) % 256}`;
    ip("netns", "add", this.name);
    try {
      ip("link", "add", this.#here, "type", "veth", "peer", "name", this.#there, "netns", this.name);
      ip("addr", "add", `${this.here}/24`, "dev", this.#here);
      ip("link", "set", this.#here, "up");
      this.addAddress(2);
      this.#inside("link", "set", this.#there, "up");
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** The address of this end of the cable. */
  get here(): string {
    return `${this.#prefix}.1`;
  }

  /** A command that runs another one inside. */
  get prefix(): readonly string[] {
    return ["ip", "netns", "exec", this.name];
  }

  /** Pull the cable, or plug it in. */
  cable(state: "up" | "down"): void {
    ip("link", "set", this.#here, state);
  }

  setMtu(bytes: number): void {
    ip("link", "set", this.#here, "mtu", `${bytes}`);
    this.#inside("link", "set", this.#there, "mtu", `${bytes}`);
  }

  /** Give the other end one more address. @param host 2 to 254; the first is 2 */
  addAddress(host: number): void {
    this.#inside("addr", "add", `${this.#prefix}.${host}/24`, "dev", this.#there);
  }

  removeAddress(host: number): void {
    this.#inside("addr", "del", `${this.#prefix}.${host}/24`, "dev", this.#there);
  }

  [Symbol.dispose](): void {
    // The cable goes with the namespace.
    ip("netns", "del", this.name);
  }

  #inside(...args: string[]): void {
    ip("-n", this.name, ...args);
  }
}
