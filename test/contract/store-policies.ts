import { describe, expect, test } from "vitest";
import type { StoreUnderTest } from "./store.ts";
import { T0 } from "./store-fixtures.ts";

/** Versions of the policy. */
export function policyContract(open: () => Promise<StoreUnderTest>): void {
  describe("the policy", () => {
    test("versions grow by one, and are kept over restarts", async () => {
      await using under = await open();
      expect(await under.store.policies.current()).toBeUndefined();
      const first = { version: 1, body: "{}", setBy: "ada", setAt: T0 };
      expect(await under.store.policies.put({ expected: 0, body: "{}", setBy: "ada", now: T0 })).toEqual(first);
      await under.store.policies.put({ expected: 1, body: "[]", setBy: "bob", now: T0 + 1 });
      const store = await under.reopen();
      expect(await store.policies.current()).toMatchObject({ version: 2, body: "[]", setBy: "bob" });
      expect((await store.policies.history({ limit: 5 })).map(({ version }) => version)).toEqual([2, 1]);
      expect(await store.policies.history({ limit: 1 })).toHaveLength(1);
    });

    test("of two who change the same version one is told that it came second", async () => {
      await using under = await open();
      const put = (setBy: string) => under.store.policies.put({ expected: 0, body: "{}", setBy, now: T0 });
      const answers = await Promise.allSettled([put("ada"), put("bob")]);
      expect(answers.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
      await expect(put("eve")).rejects.toMatchObject({ code: "POLICY_CHANGED", metadata: { version: "1" } });
    });
  });
}
