import { encodeCbor, MAX_FRAME_BYTES, parseGatewayControl } from "@quaymesh/protocol";
import { describe, expect, test } from "vitest";
import { mayRead } from "../../src/policy/may-read.ts";
import { DEFAULT_POLICY, parsePolicy } from "../../src/policy/policy.ts";

const ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const OTHER = "01BX5ZZKBKACTAV9WEVGEMMVRZ";
const rule = { readers: ["any"], kinds: ["*"], devices: ["self"] };

describe("a policy", () => {
  test("reads back as it was written", () => {
    const policy = {
      rules: [rule, { readers: ["label:gpu", `device:${ID}`], kinds: ["a", "b.*"], devices: ["any", "label:disk"] }],
    };
    expect(parsePolicy(JSON.stringify(policy))).toEqual(policy);
    expect(parsePolicy(JSON.stringify(DEFAULT_POLICY))).toEqual(DEFAULT_POLICY);
    expect(parsePolicy('{"rules":[]}')).toEqual({ rules: [] });
  });

  test.each([
    ["not JSON", "{", "the policy"],
    ["no rules", "{}", "the policy"],
    ["a field nobody knows", { rules: [], mode: "open" }, "mode"],
    ["a misspelt field", { rules: [{ ...rule, reader: ["any"] }] }, "rules[0]"],
    ["an empty list", { rules: [{ ...rule, devices: [] }] }, "rules[0].devices"],
    ["a reader nobody can be", { rules: [{ ...rule, readers: ["self"] }] }, "rules[0].readers[0]"],
    ["a device that is no id", { rules: [rule, { ...rule, devices: ["device:nas"] }] }, "rules[1].devices[0]"],
    ["a star in the middle", { rules: [{ ...rule, kinds: ["a*b"] }] }, "rules[0].kinds[0]"],
    ["a number", { rules: [{ ...rule, kinds: [1] }] }, "rules[0].kinds[0]"],
    [
      "more than a node can be told",
      { rules: Array.from({ length: 20 }, () => ({ ...rule, kinds: Array.from({ length: 50 }, () => "k") })) },
      "rules",
    ],
    ["too many rules", { rules: Array.from({ length: 257 }, () => rule) }, "rules"],
  ])("with %s is refused, and the place is named", (_, value, at) => {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    expect(() => parsePolicy(text)).toThrow(expect.objectContaining({ code: "POLICY_INVALID" }) as Error);
    expect(() => parsePolicy(text)).toThrow(at);
  });
});

describe("what a device may read", () => {
  const reader = (...labels: string[]) => ({ deviceId: ID, labels });

  test("is its own, and with the label for it everything, until somebody says otherwise", () => {
    expect(mayRead(DEFAULT_POLICY, reader("gpu"))).toEqual([{ devices: [ID] }]);
    expect(mayRead(DEFAULT_POLICY, reader("events-reader"))).toEqual([{ devices: [ID] }, {}]);
  });

  test("is nothing where no rule gives it anything", () => {
    expect(mayRead({ rules: [] }, reader("events-reader"))).toEqual([]);
    expect(mayRead({ rules: [{ ...rule, readers: [`device:${OTHER}`] }] }, reader())).toEqual([]);
  });

  test("of the largest policy there may be fits what a node reads", () => {
    const kinds = Array.from({ length: 62 }, (_, index) => `${index}`.padStart(128, "k"));
    const devices = ["self", "label:x"];
    const large = { rules: Array.from({ length: 15 }, () => ({ readers: ["any"], kinds, devices })) };
    const many = { rules: Array.from({ length: 250 }, () => ({ readers: ["any"], kinds: ["k"], devices })) };
    for (const policy of [large, many]) {
      const read = mayRead(parsePolicy(JSON.stringify(policy)), reader());
      const body = encodeCbor({ type: "policy", version: 1, policy: { read } });
      expect(body.length).toBeLessThan(MAX_FRAME_BYTES);
      expect(parseGatewayControl(body)).toMatchObject({ version: 1 });
    }
  });

  test("is by device and by label each on its own, within the rule's kinds", () => {
    const policy = {
      rules: [{ readers: [`device:${ID}`], kinds: ["a.*"], devices: ["self", `device:${OTHER}`, "label:x"] }],
    };
    expect(mayRead(policy, reader())).toEqual([
      { kinds: ["a.*"], devices: [ID, OTHER] },
      { kinds: ["a.*"], labels: ["x"] },
    ]);
  });
});
