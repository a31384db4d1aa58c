import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";

const mounted = new Set<string>();
process.once("exit", () => {
  for (const path of mounted) unmount(path);
});

/** Big enough for what a world writes. */
const SIZE = "size=96m";
const BALLAST_BYTES = 1_048_576;

/** A small disk in memory, which can be full. Its files survive any kill, and none a power cut. */
export class SmallDisk implements Disposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Mount one at `path`. @returns `undefined` where this machine does not let us */
  static mount(path: string): SmallDisk | undefined {
    mkdirSync(path, { recursive: true });
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", SIZE, "quaymesh-chaos", path], { stdio: "ignore" });
    } catch {
      return undefined;
    }
    mounted.add(path);
    return new SmallDisk(path);
  }

  /** Take all that is left, to the last byte. */
  fill(): void {
    const file = openSync(join(this.path, "ballast"), "w");
    const ballast = new Uint8Array(BALLAST_BYTES);
    try {
      for (let bytes = BALLAST_BYTES; bytes > 0; bytes = Math.floor(bytes / 2)) {
        try {
          while (writeSync(file, ballast, 0, bytes) === bytes);
        } catch (error) {
          if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
        }
      }
    } finally {
      closeSync(file);
    }
  }

  /** Give it back. */
  free(): void {
    rmSync(join(this.path, "ballast"), { force: true });
  }

  [Symbol.dispose](): void {
    mounted.delete(this.path);
    unmount(this.path);
  }
}

function unmount(path: string): void {
  try {
    execFileSync("umount", ["-l", path], { stdio: "ignore" });
  } catch {
    // It is gone, or the machine will say so.
  }
}
