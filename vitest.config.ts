import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

// Tests start processes and threads by the thousand, and half of what each does is to read the same sources.
process.env["NODE_COMPILE_CACHE"] ??= fileURLToPath(new URL("node_modules/.cache/compiled", import.meta.url));

export default defineConfig({
  resolve: { conditions: ["@quaymesh/source", "node"] },
  ssr: { resolve: { conditions: ["@quaymesh/source", "node"] } },
  test: {
    include: ["packages/*/test/**/*.test.ts", "test/**/*.test.ts", "examples/**/*.test.ts", "bench/**/*.test.ts"],
    // Real processes share two cores; a slow machine must not turn into a false red.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // What is asked again until it holds: its default of one second is a wager on the machine.
    expect: { poll: { timeout: 30_000 } },
    execArgv: ["-C", "@quaymesh/source"],
    sequence: { shuffle: true },
  },
});
