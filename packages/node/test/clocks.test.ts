import { certificatesToPem } from "@quaymesh/identity";
import type { CloseInfo } from "@quaymesh/protocol";
import { describe, expect, it } from "vitest";
import { skewLine } from "../src/link/clock-skew.ts";
import { withClocks } from "../src/link/clocks.ts";
import { failureOfClose } from "../src/link/failure.ts";
import { certifyDevice } from "../../../test/authority.ts";
import { createAuthority, DEVICE_ID } from "./support/paired-state.ts";
import { openScene, untilState } from "./support/scene.ts";

const YEAR = 365 * 86_400_000;
const ADDRESS = { host: "192.0.2.10", port: 7420 };
const EXPIRED = 0x12d;

async function certificate() {
  const authority = await createAuthority();
  const { issued } = await certifyDevice(authority, DEVICE_ID, Date.now());
  return { chainPem: certificatesToPem(issued.chain), notBefore: issued.notBefore, notAfter: issued.notAfter };
}

describe("a certificate refused for its dates", () => {
  const refused = (byPeer: boolean): CloseInfo => ({ kind: "transport", code: EXPIRED, reason: "", byPeer });
  it.each([
    ["a clock a year back, refused by the gateway", -YEAR, true, "CLOCK_SKEW", /this machine's clock is behind/u],
    ["a clock a year back, refused here", -YEAR, false, "CLOCK_SKEW", /this machine's clock is behind/u],
    ["a clock that fits the certificate", 0, true, "CLOCK_SKEW", /by the gateway's clock .* compare both/u],
    ["a gateway whose certificate does not fit", 0, false, "CLOCK_SKEW", /the gateway's own certificate/u],
    ["a certificate that has run out", YEAR, true, "CERTIFICATE_EXPIRED", /pair it again, unless this clock is ahead/u],
  ])("is told with its dates and this clock: %s", async (_what, off, byPeer, code, sentence) => {
    const identity = await certificate();
    const now = Date.now() + off;
    const { verdict, error } = withClocks(failureOfClose(refused(byPeer), { address: ADDRESS }), identity, now);
    expect({ verdict, code: error.code }).toEqual({ verdict: "expired", code });
    expect(error.message).toMatch(sentence);
    for (const at of [identity.notBefore, identity.notAfter, now]) {
      expect(error.message).toContain(new Date(at).toISOString());
    }
    expect(error.message).toContain("192.0.2.10:7420");
    expect(error.close).toEqual(refused(byPeer));
  });

  it("is left as it is where the certificate cannot be read, and so is every other failure", async () => {
    const expired = failureOfClose(refused(true), { address: ADDRESS });
    expect(withClocks(expired, { chainPem: "none" }, 0)).toBe(expired);
    expect(expired.error.message).not.toMatch(/has expired/u);
    const revoked = failureOfClose({ kind: "transport", code: 0x12c, reason: "", byPeer: true }, { address: ADDRESS });
    expect(withClocks(revoked, await certificate(), 0)).toBe(revoked);
  });

  it("has the node wait with that sentence, for a clock to be set", async () => {
    await using it = await openScene({ listens: false });
    await using _listener = await it.network.listen({
      address: ADDRESS,
      protocol: "quaymesh/1",
      credentials: { keyPem: "key", chainPem: "chain" },
      trust: { kind: "judged", authorize: () => ({ kind: "refuse", reason: "expired" }) },
    });
    const running = it.node.run();
    const { error } = await untilState(it.node, "waiting");
    expect(error).toMatchObject({
      code: "CLOCK_SKEW",
      message: expect.stringMatching(/valid from .* and this clock says .* compare both machines' clocks/u),
    });
    await it.node.stop();
    await running;
  });
});

describe("two clocks at the beginning of a session", () => {
  const gateway = Date.parse("2026-11-20T12:00:00Z");

  it.each([0, 30_000, -30_000])("that are %i ms apart are not told of", (offMs) => {
    expect(skewLine(gateway, gateway + offMs)).toBeUndefined();
  });

  it.each([
    [31_000, "31 s ahead of"],
    [-86_400_000, "86400 s behind"],
  ])("that are %i ms apart are shown, both", (offMs, how) => {
    const line = skewLine(gateway, gateway + offMs);
    expect(line).toMatchObject({ level: "warn", event: "clock.skew", details: { offMs } });
    expect(line?.message).toContain(how);
    expect(line?.message).toContain("2026-11-20T12:00:00.000Z");
    expect(line?.message).toContain(new Date(gateway + offMs).toISOString());
  });
});
