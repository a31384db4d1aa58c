/**
 * Checks that package-lock.json names every optional platform package that a dependency publishes, and with `--fix` adds stub entries for those that
 * the registry at hand did not offer: without them `npm ci` on another platform refuses the lock file.
 */
import { readFileSync, writeFileSync } from "node:fs";

interface LockEntry {
  version?: string;
  optional?: boolean;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  optionalDependencies?: Record<string, string>;
}

const path = new URL("../package-lock.json", import.meta.url);
const lock = JSON.parse(readFileSync(path, "utf8")) as { packages: Record<string, LockEntry> };

/** Platform words as they occur in package names, and npm's own words for them. */
const OS: Readonly<Record<string, string>> = {
  darwin: "darwin",
  linux: "linux",
  win32: "win32",
  windows: "win32",
  android: "android",
  freebsd: "freebsd",
  openbsd: "openbsd",
  netbsd: "netbsd",
  sunos: "sunos",
  aix: "aix",
  openharmony: "openharmony",
};
const CPU: ReadonlySet<string> = new Set([
  "x64",
  "arm64",
  "arm",
  "ia32",
  "riscv64",
  "ppc64",
  "s390x",
  "loong64",
  "armv7",
  "mips64el",
  "wasm32",
]);

function platformOf(name: string): Pick<LockEntry, "os" | "cpu" | "libc"> {
  const words = name.split(/[/\-.]/);
  const os = words.map((w) => OS[w]).find((w) => w !== undefined);
  const cpu = words.find((w) => CPU.has(w))?.replace("armv7", "arm");
  const libc = /musl/.test(name) ? "musl" : /gnu/.test(name) ? "glibc" : undefined;
  return {
    ...(os === undefined ? {} : { os: [os] }),
    ...(cpu === undefined ? {} : { cpu: [cpu] }),
    ...(libc === undefined ? {} : { libc: [libc] }),
  };
}

function missing(): Map<string, { version: string; under: string }> {
  const found = new Map<string, { version: string; under: string }>();
  for (const [under, entry] of Object.entries(lock.packages))
    for (const [name, range] of Object.entries(entry.optionalDependencies ?? {})) {
      const nested = `${under}/node_modules/${name}`;
      if (lock.packages[`node_modules/${name}`] === undefined && lock.packages[nested] === undefined)
        found.set(`node_modules/${name}`, { version: range.replace(/^[~^]/, ""), under });
    }
  return found;
}

const gaps = missing();
if (gaps.size === 0) {
  console.log("package-lock.json names every optional platform package");
} else if (process.argv.includes("--fix")) {
  for (const [key, { version }] of gaps) lock.packages[key] = { version, optional: true, ...platformOf(key) };
  const sorted = Object.fromEntries(Object.entries(lock.packages).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(path, `${JSON.stringify({ ...lock, packages: sorted }, null, 2)}\n`);
  console.log(`added ${String(gaps.size)} stub entries`);
} else {
  for (const [key, { under }] of gaps)
    console.error(`missing: ${key} (optional dependency of ${under === "" ? "the root" : under})`);
  console.error("run: npm run lockfile -- --fix");
  process.exitCode = 1;
}
