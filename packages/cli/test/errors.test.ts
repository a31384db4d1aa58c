import { IdentityError } from "@quaymesh/identity";
import { expect, test } from "vitest";
import { explain } from "../src/errors.ts";

test.each(["CLOCK_SKEW", "CA_INVALID"] as const)(
  "a start that a wrong clock prevents (%s) says both clocks, and to look at this machine's",
  (code) => {
    const message =
      "the issuing CA is valid from 2026-01-01T00:00:00.000Z to 2036-01-01T00:00:00.000Z, and this clock says 2025-01-01T00:00:00.000Z";
    const told = explain(new IdentityError(code, message));
    expect(told.message.toLowerCase()).toContain(message.toLowerCase());
    expect(told.hint).toMatch(/this machine's clock/u);
  },
);
