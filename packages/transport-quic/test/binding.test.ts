import { TransportError } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import { bindingSources, loadBinding, selectBinding } from "../src/binding.ts";
import type { BindingSource, Platform } from "../src/binding.ts";
import { createQuicTransport } from "@quaymesh/transport-quic";

const nothing = (): void => {};
/** In the shape of the real thing. */
const binding = { Config: nothing, Connection: nothing, Header: nothing, retry: nothing };
const glibc: Platform = { os: "linux", cpu: "x64", libc: "glibc" };

const source = (name: "matrixai" | "infisical", load: () => unknown): BindingSource => ({
  name,
  packageName: `@${name}/quic`,
  load,
});

const missing = (name: string) => (): never => {
  throw Object.assign(new Error(`Cannot find module '${name}'\nRequire stack:\n- /somewhere`), {
    code: "MODULE_NOT_FOUND",
  });
};

const errorOf = async (sources: readonly BindingSource[], platform: Platform): Promise<TransportError> => {
  try {
    await selectBinding(sources, () => platform);
  } catch (error) {
    if (error instanceof TransportError) return error;
    throw error;
  }
  throw new Error("a binding was found");
};

test("the first build that loads is taken, and the second is not even looked at", async () => {
  const untouched = source("infisical", () => expect.unreachable("was loaded"));
  expect(await selectBinding([source("matrixai", () => binding), untouched], () => glibc)).toBe(binding);
});

test("the second build is taken where the first has none for the platform", async () => {
  const second = source("infisical", () => Promise.resolve(binding));
  expect(await selectBinding([source("matrixai", missing("quic")), second], () => glibc)).toBe(binding);
});

test("a module that is not the binding is passed over", async () => {
  const other = source("matrixai", () => ({ Config: nothing }));
  expect(await selectBinding([other, source("infisical", () => binding)], () => glibc)).toBe(binding);
});

test("where neither loads, one error says on what, what to install, and why each failed", async () => {
  const broken = source("infisical", () => {
    throw new Error("libm.so.6: version `GLIBC_2.99' not found");
  });
  const error = await errorOf([source("matrixai", missing("@matrixai/quic-linux-x64")), broken], glibc);
  expect(error.code).toBe("BINDING_UNAVAILABLE");
  expect(error.message).toBe(
    "no QUIC binding loads on linux x64 glibc: install @matrixai/quic or @infisical/quic with optional dependencies, if it has a build for this platform " +
      "(Cannot find module '@matrixai/quic-linux-x64'; libm.so.6: version `GLIBC_2.99' not found)",
  );
  const { cause } = error;
  if (!(cause instanceof AggregateError)) throw new Error("the cause is not an AggregateError");
  expect(cause.errors).toMatchObject([
    { message: "@matrixai/quic does not load", cause: { code: "MODULE_NOT_FOUND" } },
    { message: "@infisical/quic does not load", cause: { message: expect.stringContaining("GLIBC_2.99") as string } },
  ]);
});

test("on musl the error says that there is no build, instead of what to install", async () => {
  const error = await errorOf([source("matrixai", () => undefined)], { os: "linux", cpu: "arm64", libc: "musl" });
  expect(error.message).toBe(
    "no QUIC binding loads on linux arm64 musl: there is no build for musl: use a system with glibc (@matrixai/quic loads, but is not a quiche binding)",
  );
});

test("the second build is the platform package alone, whose name follows from the platform", () => {
  const names = (os: string, cpu: string) => bindingSources({ os, cpu }).map(({ packageName }) => packageName);
  expect(names("linux", "arm64")).toEqual(["@matrixai/quic", "@infisical/quic-linux-arm64"]);
  expect(names("darwin", "x64")).toEqual(["@matrixai/quic", "@infisical/quic-darwin-x64"]);
});

test("an unknown platform's second build does not load, and says which package that would be", async () => {
  const second = bindingSources({ os: "plan9", cpu: "mips" }).slice(1);
  const error = await errorOf(second, { os: "plan9", cpu: "mips", libc: undefined });
  expect(error.message).toContain("no QUIC binding loads on plan9 mips: install @infisical/quic-plan9-mips");
  expect(error.message).toContain("Cannot find module '@infisical/quic-plan9-mips'");
});

test("the binding is loaded once for all transports, and each name has its own", async () => {
  const [auto, again, first] = await Promise.all([loadBinding(), loadBinding("auto"), loadBinding("matrixai")]);
  expect(again).toBe(auto);
  expect(first.Config).toBe(auto.Config);
  expect(() => createQuicTransport({ binding: "matrixai" })).not.toThrow();
});
