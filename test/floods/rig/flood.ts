/** Floods as their victim's test sees them. */
import { fork } from "node:child_process";
import { once } from "node:events";
import type { FloodReport, FloodSetup } from "./flood-setup.ts";

/** A flood that goes on. */
export interface Flood extends AsyncDisposable {
  report(): Promise<FloodReport>;
}

/** Addresses of loopback that are in prefixes of their own. */
export function loopbackSources(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `127.${String(1 + (index >> 8))}.${String(index & 0xff)}.1`);
}

/** Begin a flood. @param command run it through this, such as `ip netns exec NAME` */
export async function startFlood(setup: FloodSetup, command: readonly string[] = []): Promise<Flood> {
  const [execPath, ...prefix] = [...command, process.execPath];
  const child = fork(new URL("flooder.ts", import.meta.url), [JSON.stringify(setup)], {
    execPath,
    execArgv: [...prefix, "-C", "@quaymesh/source"],
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const exit = once(child, "exit");
  await Promise.race([
    once(child, "message"),
    exit.then(([code]): never => {
      throw new Error(`the flood ended: ${String(code)}`);
    }),
  ]);
  return {
    async report() {
      const answer = once(child, "message");
      child.send("report");
      const [report]: FloodReport[] = await answer;
      if (report === undefined) throw new Error("the flood says nothing");
      return report;
    },
    async [Symbol.asyncDispose]() {
      child.disconnect();
      await exit;
    },
  };
}
