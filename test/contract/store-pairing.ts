import { describe, expect, test } from "vitest";
import type { StoreUnderTest } from "./store.ts";
import { T0 } from "./store-fixtures.ts";

const WINDOW = {
  windowId: "w1",
  codeId: "0102030405060708",
  state: "open",
  openedAt: T0,
  expiresAt: T0 + 300_000,
  failures: 0,
  usesLeft: 1,
  sealedCode: undefined,
  body: '{"secret":"s"}',
};

/** Pairing rows: compare-and-set and counts that survive. */
export function pairingContract(open: () => Promise<StoreUnderTest>): void {
  describe("pairing", () => {
    test("of two claims of one code only the first succeeds", async () => {
      await using under = await open();
      const { pairing } = under.store;
      await pairing.putWindow(WINDOW);
      const claim = { windowId: "w1", from: ["open"], to: "claimed" };
      const answers = await Promise.all([pairing.moveWindow(claim), pairing.moveWindow(claim)]);
      expect(answers.map((row) => row?.state)).toEqual(["claimed", undefined]);
      expect(await pairing.windowByCode(WINDOW.codeId)).toMatchObject({ state: "claimed", body: WINDOW.body });
    });

    test("a used secret can be erased with the move that uses it", async () => {
      await using under = await open();
      const { pairing } = under.store;
      await pairing.putWindow(WINDOW);
      await pairing.moveWindow({ windowId: "w1", from: ["open", "claimed"], to: "used", body: "{}" });
      expect(await pairing.windows(["used"])).toMatchObject([{ windowId: "w1", body: "{}" }]);
      expect(await pairing.windows(["open"])).toEqual([]);
    });

    test("attempts count before they are judged, and a restart refunds none", async () => {
      await using under = await open();
      await under.store.pairing.putWindow(WINDOW);
      const attempt = (id: string, at: number, prefix: string) => ({
        attemptId: id,
        windowId: "w1",
        secret: "ticket" as const,
        prefix,
        at,
        hourAgo: at - 3_600_000,
        dayAgo: at - 86_400_000,
      });
      await under.store.pairing.recordAttempt(attempt("a", T0, "192.0.2.1"));
      const store = await under.reopen();
      await store.pairing.recordAttempt(attempt("b", T0 + 7_200_000, "192.0.2.2"));
      const counts = await store.pairing.recordAttempt(attempt("c", T0 + 7_200_001, "192.0.2.2"));
      expect(counts).toEqual({ hour: 2, day: 3, prefixHour: 2 });
      expect(await store.pairing.recordFailure({ attemptId: "a", windowId: "w1" })).toMatchObject({ failures: 1 });
      // The same failure twice is one.
      expect(await store.pairing.recordFailure({ attemptId: "a", windowId: "w1" })).toMatchObject({ failures: 1 });
      expect(await store.pairing.countFailures({ secret: "ticket", hourAgo: T0 + 1, dayAgo: T0 })).toEqual({
        hour: 2,
        day: 3,
      });
    });

    test("an attempt that a crash kept from being judged counts as failed, and only a proof takes it off", async () => {
      await using under = await open();
      await under.store.pairing.putWindow(WINDOW);
      const since = { hourAgo: T0 - 3_600_000, dayAgo: T0 - 86_400_000 };
      for (const attemptId of ["right", "wrong", "unjudged"]) {
        await under.store.pairing.recordAttempt({
          attemptId,
          windowId: "w1",
          secret: "ticket",
          prefix: "192.0.2.1",
          at: T0,
          ...since,
        });
      }
      await under.store.pairing.recordProof("right");
      await under.store.pairing.recordFailure({ attemptId: "wrong", windowId: "w1" });
      // What was settled stays so.
      await under.store.pairing.recordProof("wrong");
      expect(await under.store.pairing.recordFailure({ attemptId: "right", windowId: "w1" })).toMatchObject({
        failures: 1,
      });
      const store = await under.reopen();
      expect(await store.pairing.countFailures({ ...since, secret: "ticket" })).toEqual({ hour: 2, day: 2 });
      await store.pairing.recordProof("nobody's");
      expect(await store.pairing.countFailures({ ...since, secret: "ticket" })).toEqual({ hour: 2, day: 2 });
    });

    test("guesses at PINs and at tickets are counted apart, also at two codes of one window", async () => {
      await using under = await open();
      const { pairing } = under.store;
      await pairing.putWindow(WINDOW);
      const since = { hourAgo: T0 - 3_600_000, dayAgo: T0 - 86_400_000 };
      for (const [attemptId, secret] of [
        ["a", "ticket"],
        ["b", "pin"],
        ["c", "pin"],
      ] as const) {
        await pairing.recordAttempt({ attemptId, windowId: "w1", secret, prefix: "192.0.2.1", at: T0, ...since });
      }
      const again = (await under.reopen()).pairing;
      expect(await again.countFailures({ ...since, secret: "ticket" })).toEqual({ hour: 1, day: 1 });
      expect(await again.countFailures({ ...since, secret: "pin" })).toEqual({ hour: 2, day: 2 });
    });

    test("a sealed code comes back after a restart while its window is open, and is forgotten with it", async () => {
      await using under = await open();
      const sealedCode = Uint8Array.of(1, 2, 3);
      await under.store.pairing.putWindow({ ...WINDOW, sealedCode, usesLeft: 3 });
      const { pairing } = await under.reopen();
      expect(await pairing.windows(["open"])).toEqual([{ ...WINDOW, sealedCode, usesLeft: 3 }]);
      await pairing.moveWindow({ windowId: "w1", from: ["open"], to: "closed" });
      expect(await pairing.window("w1")).toMatchObject({ state: "closed", sealedCode: undefined });
    });

    test("an attempt at no window counts as one of its source, never as failed, and is forgotten once it is judged", async () => {
      await using under = await open();
      const { pairing } = under.store;
      const since = { hourAgo: T0 - 3_600_000, dayAgo: T0 - 86_400_000 };
      const attempt = { windowId: "", secret: "ticket" as const, prefix: "192.0.2.1", at: T0, ...since };
      expect(await pairing.recordAttempt({ ...attempt, attemptId: "a" })).toEqual({ hour: 1, day: 1, prefixHour: 1 });
      expect(await pairing.countFailures({ ...since, secret: "ticket" })).toEqual({ hour: 0, day: 0 });
      expect(await pairing.recordFailure({ attemptId: "a", windowId: "" })).toBeUndefined();
      expect(await pairing.countFailures({ ...since, secret: "ticket" })).toEqual({ hour: 0, day: 0 });
      expect(await pairing.recordAttempt({ ...attempt, attemptId: "b" })).toEqual({ hour: 1, day: 1, prefixHour: 1 });
    });

    test("a request moves only from a state it is in", async () => {
      await using under = await open();
      const { pairing } = under.store;
      const row = {
        requestId: "r",
        windowId: "w1",
        state: "pending",
        requestedAt: T0,
        updatedAt: T0,
        deviceId: undefined,
        body: "{}",
      };
      await pairing.putRequest(row);
      const deny = await pairing.moveRequest({ requestId: "r", from: ["pending"], to: "denied", now: T0 + 1 });
      expect(deny).toEqual({ ...row, state: "denied", updatedAt: T0 + 1 });
      expect(
        await pairing.moveRequest({ requestId: "r", from: ["pending"], to: "approved", now: T0 + 2 }),
      ).toBeUndefined();
      expect(await pairing.requests(["denied"])).toHaveLength(1);
    });
  });
}
