import * as fc from "fast-check";
import { TransportError } from "@quaymesh/protocol";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { IpAddress } from "../src/address.ts";
import { interleaved, race } from "../src/race.ts";
import type { RaceOptions } from "../src/race.ts";

const address = (host: string): IpAddress => ({ host, port: 1, family: host.includes(":") ? 6 : 4 });
const hosts = (addresses: readonly IpAddress[]): string[] => addresses.map(({ host }) => host);

/** Attempts that end when the test says so, and what became of them. */
class Attempts {
  readonly started: { readonly host: string; readonly atMs: number }[] = [];
  readonly aborted: string[] = [];
  readonly discarded: string[] = [];
  readonly #open = new Map<string, PromiseWithResolvers<string>>();

  run(names: readonly string[], options: Partial<RaceOptions<string>> = {}): Promise<string> {
    const begun = performance.now();
    return race(names.map(address), {
      attempt: ({ host }, _timeoutMs, signal) => {
        this.started.push({ host, atMs: Math.round(performance.now() - begun) });
        const outcome = Promise.withResolvers<string>();
        this.#open.set(host, outcome);
        signal.addEventListener("abort", () => {
          this.aborted.push(host);
          outcome.reject(signal.reason);
        });
        return outcome.promise;
      },
      discard: (late) => this.discarded.push(late),
      timeoutMs: 5000,
      signal: undefined,
      ...options,
    });
  }

  win(host: string): void {
    this.#open.get(host)?.resolve(host);
  }

  lose(host: string, error: unknown = new TransportError("UNREACHABLE", `${host} is silent`)): void {
    this.#open.get(host)?.reject(error);
  }
}

beforeEach(() => vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
afterEach(() => {
  vi.useRealTimers();
});

test("families take turns, beginning with the resolver's first, and each keeps its order", () => {
  expect(hosts(interleaved(["::1", "::2", "::3", "1.1.1.1", "2.2.2.2"].map(address)))).toEqual([
    "::1",
    "1.1.1.1",
    "::2",
    "2.2.2.2",
    "::3",
  ]);
  expect(hosts(interleaved(["1.1.1.1", "::1", "::2"].map(address)))).toEqual(["1.1.1.1", "::1", "::2"]);
  expect(interleaved([])).toEqual([]);
  const any = fc.array(fc.constantFrom("::1", "::2", "1.1.1.1", "2.2.2.2"));
  fc.assert(
    fc.property(any, (names) => {
      const ordered = hosts(interleaved(names.map(address)));
      for (const isSix of [true, false]) {
        const of = (list: readonly string[]) => list.filter((host) => host.includes(":") === isSix);
        expect(of(ordered)).toEqual(of(names));
      }
    }),
  );
});

test("an address that says nothing costs 250 ms, and the first to complete wins", async () => {
  const attempts = new Attempts();
  const result = attempts.run(["::1", "1.1.1.1", "::2"]);
  expect(hosts(attempts.started.map(({ host }) => address(host)))).toEqual(["::1"]);
  await vi.advanceTimersByTimeAsync(249);
  expect(attempts.started).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(attempts.started.at(-1)).toEqual({ host: "1.1.1.1", atMs: 250 });
  attempts.win("1.1.1.1");
  expect(await result).toBe("1.1.1.1");
  expect(attempts.aborted).toEqual(["::1"]);
  await vi.advanceTimersByTimeAsync(5000);
  expect(attempts.started).toHaveLength(2);
  expect(vi.getTimerCount()).toBe(0);
});

test("an address that fails at once makes way for the next at once", async () => {
  const attempts = new Attempts();
  const result = attempts.run(["::1", "1.1.1.1"]);
  attempts.lose("::1");
  await vi.advanceTimersByTimeAsync(0);
  expect(attempts.started.at(-1)).toEqual({ host: "1.1.1.1", atMs: 0 });
  attempts.win("1.1.1.1");
  expect(await result).toBe("1.1.1.1");
});

test("a slow first address still wins over one that was begun later", async () => {
  const attempts = new Attempts();
  const result = attempts.run(["::1", "1.1.1.1"]);
  await vi.advanceTimersByTimeAsync(300);
  attempts.win("::1");
  expect(await result).toBe("::1");
  expect(attempts.aborted).toEqual(["1.1.1.1"]);
});

test("where all fail the error names each address with its reason, and takes the code of the most telling", async () => {
  const attempts = new Attempts();
  const result = attempts.run(["::1", "1.1.1.1", "::2"]);
  const failed = expect(result).rejects.toMatchObject({
    code: "HANDSHAKE_TIMEOUT",
    message: "no address could be reached ([::1]:1: ::1 is silent; 1.1.1.1:1: too slow; [::2]:1: ::2 is silent)",
    cause: { errors: [{ code: "UNREACHABLE" }, { code: "HANDSHAKE_TIMEOUT" }, { code: "UNREACHABLE" }] },
  });
  attempts.lose("::1");
  await vi.advanceTimersByTimeAsync(0);
  attempts.lose("1.1.1.1", new TransportError("HANDSHAKE_TIMEOUT", "too slow"));
  await vi.advanceTimersByTimeAsync(0);
  attempts.lose("::2");
  await failed;
});

test("a refusal leaves the other addresses a second, then it is the answer", async () => {
  const attempts = new Attempts();
  const close = { kind: "transport", code: 2, reason: "busy", byPeer: true } as const;
  const result = attempts.run(["::1", "1.1.1.1"]);
  const refused = expect(result).rejects.toMatchObject({ code: "CONNECTION_CLOSED", close });
  attempts.lose("::1", new TransportError("CONNECTION_CLOSED", "busy", { close }));
  await vi.advanceTimersByTimeAsync(999);
  expect(attempts.aborted).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  await refused;
  expect(attempts.aborted).toEqual(["1.1.1.1"]);
});

test("what no address can mend ends the race at once", async () => {
  const attempts = new Attempts();
  const result = attempts.run(["::1", "1.1.1.1"]);
  const error = new TransportError("CREDENTIALS_INVALID", "no key");
  attempts.lose("::1", error);
  await expect(result).rejects.toBe(error);
  expect(attempts.started).toHaveLength(1);
});

test("an abort ends every attempt with its reason", async () => {
  const attempts = new Attempts();
  const abort = new AbortController();
  const result = attempts.run(["::1", "1.1.1.1", "::2"], { signal: abort.signal });
  await vi.advanceTimersByTimeAsync(250);
  const reason = new Error("changed my mind");
  const ended = expect(result).rejects.toBe(reason);
  abort.abort(reason);
  await ended;
  expect(attempts.aborted).toEqual(["::1", "1.1.1.1"]);
  await vi.advanceTimersByTimeAsync(5000);
  expect(attempts.started).toHaveLength(2);
});

test("an attempt that completes although it was given up is released", async () => {
  const late = Promise.withResolvers<string>();
  const discarded: string[] = [];
  const result = race([address("::1"), address("1.1.1.1")], {
    attempt: ({ family }) => (family === 6 ? late.promise : Promise.resolve("first")),
    discard: (value) => discarded.push(value),
    timeoutMs: 5000,
    signal: undefined,
  });
  await vi.advanceTimersByTimeAsync(250);
  expect(await result).toBe("first");
  late.resolve("late");
  await vi.advanceTimersByTimeAsync(0);
  expect(discarded).toEqual(["late"]);
});

test("with many addresses all are begun within half of the time", async () => {
  const attempts = new Attempts();
  const names = Array.from({ length: 50 }, (_, index) => `10.0.0.${index}`);
  const result = attempts.run(names, { timeoutMs: 1000 });
  await vi.advanceTimersByTimeAsync(500);
  expect(attempts.started).toHaveLength(50);
  attempts.win("10.0.0.49");
  expect(await result).toBe("10.0.0.49");
});
