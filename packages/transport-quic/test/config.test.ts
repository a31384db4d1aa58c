import { expect, test } from "vitest";
import { loadBinding } from "../src/binding.ts";
import { ConfigCache } from "../src/config.ts";
import type { ConfigInput } from "../src/config.ts";
import { createAuthority } from "./support/certificates.ts";

const openInput = async (): Promise<ConfigInput> => {
  const authority = await createAuthority();
  return {
    protocol: "quaymesh/1",
    credentials: await authority.issue("node"),
    trust: { kind: "anchored", anchorsPem: authority.anchorsPem },
    idleTimeoutMs: 1000,
    maxStreams: 10,
    datagramBytes: 1350,
    streamWindowBytes: 1 << 16,
    connectionWindowBytes: 1 << 17,
  };
};

test("equal inputs share one configuration, whatever objects they come in", async () => {
  const binding = await loadBinding();
  const input = await openInput();
  const cache = new ConfigCache();
  const config = cache.get(binding, input);
  expect(cache.get(binding, { ...input, credentials: { ...input.credentials }, trust: { ...input.trust } })).toBe(
    config,
  );
});

test("an input that differs in anything has a configuration of its own", async () => {
  const binding = await loadBinding();
  const input = await openInput();
  const others: Partial<ConfigInput>[] = [
    { protocol: "quaymesh-pair/1" },
    { credentials: (await openInput()).credentials },
    { trust: (await openInput()).trust },
    { trust: { kind: "judged", authorize: () => ({ kind: "accept" }) } },
    { idleTimeoutMs: 1001 },
    { maxStreams: 11 },
    { datagramBytes: 1351 },
    { streamWindowBytes: 1 << 15 },
    { connectionWindowBytes: 1 << 18 },
  ];
  for (const other of others) {
    const cache = new ConfigCache();
    const config = cache.get(binding, input);
    expect(cache.get(binding, { ...input, ...other }), Object.keys(other).join()).not.toBe(config);
    expect(cache.get(binding, input)).toBe(config);
  }
});

test("the configuration that was used longest ago is let go of first", async () => {
  const binding = await loadBinding();
  const input = await openInput();
  const cache = new ConfigCache();
  const config = cache.get(binding, input);
  for (let streams = 100; streams < 107; streams += 1) cache.get(binding, { ...input, maxStreams: streams });
  expect(cache.get(binding, input)).toBe(config);
  for (let streams = 200; streams < 208; streams += 1) cache.get(binding, { ...input, maxStreams: streams });
  expect(cache.get(binding, input)).not.toBe(config);
});
