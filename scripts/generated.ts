/** Checks that packages/api/gen is what `npm run generate` makes of schemas/proto today. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const scratch = mkdtempSync(join(tmpdir(), "quaymesh-gen-"));
try {
  const template = join(scratch, "buf.gen.yaml");
  const out = join(scratch, "gen");
  writeFileSync(
    template,
    readFileSync("schemas/buf.gen.yaml", "utf8").replace("packages/api/gen", out).replace("clean: true\n", ""),
  );
  execFileSync("buf", ["lint", "schemas/proto"], { stdio: "inherit" });
  execFileSync("buf", ["generate", "schemas/proto", "--template", template], { stdio: "inherit" });
  const list = (dir: string) =>
    readdirSync(dir, { recursive: true, encoding: "utf8" })
      .filter((f) => /\.[jt]s$/.test(f))
      .toSorted();
  const stale = new Set([...list(out), ...list("packages/api/gen")])
    .values()
    .filter((file) => read(join(out, file)) !== read(join("packages/api/gen", file)));
  const names = [...stale];
  if (names.length > 0) {
    console.error(`generated code is stale: ${names.join(", ")}\nrun: npm run generate`);
    process.exitCode = 1;
  } else {
    console.log("generated code matches schemas/proto");
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
