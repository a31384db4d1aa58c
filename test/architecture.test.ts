import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");

/** ARCHITECTURE.md, "Who may import whom". */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  api: [],
  identity: ["protocol"],
  "transport-quic": ["protocol"],
  node: ["protocol", "identity"],
  gateway: ["protocol", "identity", "api"],
  cli: ["protocol", "identity", "transport-quic", "node", "gateway", "api"],
};

/** No file of the sans-IO rooms may name these. The compiler and the linter say so too; this is the list a reader finds. */
const SANS_IO_ROOMS = ["packages/protocol/src", "packages/identity/src/pairing"];
const FORBIDDEN_IN_SANS_IO =
  /\bfrom "node:|\bDate\b(?=[.(])|\bMath\.random\b|\bset(?:Timeout|Interval|Immediate)\(|\bprocess\.|\bBuffer\.|\bglobalThis\b|\bcrypto\.|\bperformance\./;

/** Threads and programs that read no frame: loading the message schemas would take longer than all else they do at their start. */
const WITHOUT_SCHEMAS = [
  "packages/protocol/src/core.ts",
  "packages/gateway/src/store/sqlite/worker.ts",
  "packages/gateway/src/client/index.ts",
];
const LOADS_SCHEMAS = /^(?:typebox\b|@quaymesh\/protocol$)/;

const MAX_LINES = 400;

function sources(dir: string): string[] {
  if (!existsSync(join(ROOT, dir))) return [];
  return readdirSync(join(ROOT, dir), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !file.includes("node_modules") && !file.startsWith("dist"))
    .map((file) => join(dir, file))
    .toSorted();
}

const read = (file: string): string => readFileSync(join(ROOT, file), "utf8");

/** Code without comments and with template text kept: enough to look for names. */
const withoutComments = (code: string): string =>
  code.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/^\s*\/\/.*$/gm, "");

const specifiers = (code: string): string[] =>
  [...code.matchAll(/(?:\bfrom\s+|\bimport\s*\(?\s*)"([^"]+)"/g)].map((match) => match[1] ?? "");

/** Code without comments and what only the compiler reads. */
const running = (code: string): string =>
  withoutComments(code)
    .replaceAll(/\bimport type [^;]*;/g, "")
    .replaceAll(/\bexport type [^;]*;/g, "");

/** Files that `files` reach through relative imports that run: a room is only as clean as what it is built on. */
function reachable(files: readonly string[]): string[] {
  const seen = new Set<string>();
  const queue = [...files];
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    if (seen.has(file)) continue;
    seen.add(file);
    for (const specifier of specifiers(running(read(file)))) {
      if (specifier.startsWith(".")) queue.push(join(dirname(file), specifier));
    }
  }
  return [...seen].toSorted();
}

/** Exported declarations that no doc comment precedes. */
function undocumented(code: string): string[] {
  const lines = code.split("\n");
  return lines.flatMap((line, index) => {
    const declared =
      /^export (?:declare )?(?:abstract )?(?:async )?(?:const|let|function\*?|class|interface|type) (\w+)/.exec(line);
    if (declared === null) return [];
    const before = lines[index - 1]?.trim() ?? "";
    const overload = new RegExp(`^export (?:async )?function ${declared[1] ?? ""}\\b`).test(before);
    return before.endsWith("*/") || overload ? [] : [declared[1] ?? ""];
  });
}

describe("the house", () => {
  const packages = readdirSync(join(ROOT, "packages"));

  it("has only packages that the import table knows", () => {
    expect(packages.toSorted()).toEqual(Object.keys(MAY_IMPORT).toSorted());
  });

  for (const name of Object.keys(MAY_IMPORT)) {
    it(`${name} imports only what the table allows`, () => {
      const allowed = new Set((MAY_IMPORT[name] ?? []).map((other) => `@quaymesh/${other}`));
      const wrong = sources(`packages/${name}/src`).flatMap((file) =>
        specifiers(withoutComments(read(file)))
          .filter((specifier) => specifier.startsWith("@quaymesh/") && specifier.split("/")[1] !== name)
          .filter((specifier) => !allowed.has(specifier.split("/").slice(0, 2).join("/")))
          .map((specifier) => `${file} imports ${specifier}`),
      );
      expect(wrong).toEqual([]);
    });

    it(`${name} declares what it imports and stays inside its own folder`, () => {
      const manifest = JSON.parse(read(`packages/${name}/package.json`)) as {
        dependencies?: Record<string, string>;
        optionalDependencies?: Record<string, string>;
      };
      const declared = new Set([
        ...Object.keys(manifest.dependencies ?? {}),
        ...Object.keys(manifest.optionalDependencies ?? {}),
        `@quaymesh/${name}`,
      ]);
      const wrong = sources(`packages/${name}/src`).flatMap((file) =>
        specifiers(withoutComments(read(file)))
          .filter((specifier) => {
            if (specifier.startsWith("node:")) return false;
            if (specifier.startsWith("."))
              return relative(`packages/${name}`, join(dirname(file), specifier)).startsWith("..");
            const bare = specifier
              .split("/")
              .slice(0, specifier.startsWith("@") ? 2 : 1)
              .join("/");
            return !declared.has(bare);
          })
          .map((specifier) => `${file} imports ${specifier}`),
      );
      expect(wrong).toEqual([]);
    });
  }

  it("keeps IO, time and chance out of the sans-IO rooms", () => {
    const wrong = reachable(SANS_IO_ROOMS.flatMap((room) => sources(room))).filter((file) =>
      FORBIDDEN_IN_SANS_IO.test(withoutComments(read(file))),
    );
    expect(wrong).toEqual([]);
  });

  for (const entry of WITHOUT_SCHEMAS) {
    it(`loads no message schema with ${entry}`, () => {
      const wrong = reachable([entry]).flatMap((file) =>
        specifiers(running(read(file)))
          .filter((specifier) => LOADS_SCHEMAS.test(specifier))
          .map((specifier) => `${file} imports ${specifier}`),
      );
      expect(wrong).toEqual([]);
    });
  }

  it(`has no source file above ${String(MAX_LINES)} lines`, () => {
    const all = [
      ...packages.flatMap((name) => [...sources(`packages/${name}/src`), ...sources(`packages/${name}/test`)]),
      ...["bench", "examples", "scripts", "test"].flatMap((folder) => sources(folder)),
    ];
    const long = all
      .map((file) => ({ file, lines: read(file).split("\n").length }))
      .filter(({ lines }) => lines > MAX_LINES);
    expect(long).toEqual([]);
  });

  it("has a doc comment on every export", () => {
    const bare = packages.flatMap((name) =>
      sources(`packages/${name}/src`).flatMap((file) => undocumented(read(file)).map((symbol) => `${file}: ${symbol}`)),
    );
    expect(bare).toEqual([]);
  });

  it("exports where it declares, so that no doc comment is missed", () => {
    const wrong = packages
      .flatMap((name) => sources(`packages/${name}/src`))
      .filter((file) => /^export (?:type )?\{[^}]*\};/m.test(withoutComments(read(file))));
    expect(wrong).toEqual([]);
  });

  it("has no default export and no star export", () => {
    const wrong = packages
      .flatMap((name) => sources(`packages/${name}/src`))
      .filter((file) => /^export (?:default\b|\*)/m.test(withoutComments(read(file))));
    expect(wrong).toEqual([]);
  });
});

describe("the fences themselves", () => {
  it("see a forbidden name in a sans-IO room", () => {
    for (const line of [
      'import fs from "node:fs";',
      "const now = Date.now();",
      "Math.random();",
      "setTimeout(f, 1);",
      "Buffer.from([]);",
    ])
      expect(FORBIDDEN_IN_SANS_IO.test(line)).toBe(true);
  });

  it("see an export without a doc comment", () => {
    expect(undocumented("export const a = 1;\n/** Said. */\nexport function b() {}")).toEqual(["a"]);
  });

  it("see every form of import", () => {
    expect(specifiers('import a from "x";\nexport { b } from "y";\nawait import("z");\nimport "w";')).toEqual([
      "x",
      "y",
      "z",
      "w",
    ]);
  });
});
