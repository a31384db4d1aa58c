import { describe, expect, it } from "vitest";
import { z } from "zod";
import { defineTask, NodeError, type TaskDefinition } from "../src/index.ts";

const nothing = z.object({});

describe("a task definition", () => {
  it("gives its handler the types its schemas put out", async () => {
    const definition = defineTask({
      name: "text.count",
      input: z.object({ text: z.string(), times: z.coerce.number().default(1) }),
      output: z.object({ length: z.number() }),
      run: ({ text, times }) => ({ length: text.length * times }),
    });
    const anyDefinition: TaskDefinition = definition;
    expect(anyDefinition.name).toBe("text.count");
    expect(Object.isFrozen(definition)).toBe(true);
  });

  it.each(["", " ", "a..b", ".a", "a.", "a b", "ä", "x".repeat(129)])("refuses the name %j", (name) => {
    expect(() => defineTask({ name, input: nothing, output: nothing, run: () => ({}) })).toThrow(
      expect.objectContaining({ name: "NodeError", code: "TASK_DEFINITION_INVALID" }),
    );
  });

  it.each([0, -1, 1.5, Number.NaN, 1025])("refuses a concurrency of %d", (concurrency) => {
    expect(() => defineTask({ name: "a", input: nothing, output: nothing, concurrency, run: () => ({}) })).toThrow(
      NodeError,
    );
  });
});
