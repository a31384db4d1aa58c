import { IdentityError, type LineFacts } from "@quaymesh/identity";
import { describe, expect, test } from "vitest";
import { lookOnce, RENEW_BEFORE_MS, watchIssuing } from "../../src/mesh/issuing-clock.ts";
import { FakeClock } from "../support/fake-clock.ts";

const YEAR = 365 * 86_400_000;

function scene(left: { readonly root: number; readonly issuing: number }, renewal: "works" | "offline" | "fails") {
  const clock = new FakeClock();
  const line = { version: 0, shown: true, rootDer: new Uint8Array(), rootSpkiSha256: new Uint8Array(32) };
  let facts: LineFacts = {
    ...line,
    rootNotAfter: clock.now() + left.root,
    issuingNotAfter: clock.now() + left.issuing,
  };
  const said: string[] = [];
  const note =
    (level: string) =>
    (about: object, message?: string): void =>
      void said.push(`${level}: ${message ?? ""}${"run" in about ? ` [${String(about.run)}]` : ""}`);
  const logger = { debug: note("debug"), info: note("info"), warn: note("warn"), error: note("error") };
  let renewals = 0;
  const renew = (): Promise<void> => {
    renewals += 1;
    if (renewal === "offline") return Promise.reject(new IdentityError("ROOT_KEY_OFFLINE", "not here"));
    if (renewal === "fails") return Promise.reject(new Error("disk"));
    facts = { ...facts, issuingNotAfter: facts.rootNotAfter };
    return Promise.resolve();
  };
  const options = { newest: () => facts, renew, clock, logger, signal: new AbortController().signal };
  return { options, said, clock, renewals: () => renewals };
}

describe("an issuing intermediate", () => {
  test("with years to go is left alone", async () => {
    const { options, said, renewals } = scene({ root: 15 * YEAR, issuing: RENEW_BEFORE_MS }, "works");
    await lookOnce(options);
    expect([renewals(), said]).toEqual([0, []]);
  });

  test("is renewed two years before its end where the root's key is here", async () => {
    const { options, said, renewals } = scene({ root: 15 * YEAR, issuing: RENEW_BEFORE_MS - 1 }, "works");
    await lookOnce(options);
    expect(renewals()).toBe(1);
    expect(said).toEqual(["info: the issuing intermediate was renewed"]);
    await lookOnce(options);
    expect(renewals()).toBe(1);
  });

  test("is told of, with the command to run, where the key is offline; each day anew", async () => {
    const { options, said, clock } = scene({ root: 15 * YEAR, issuing: RENEW_BEFORE_MS - 1 }, "offline");
    const stop = new AbortController();
    watchIssuing({ ...options, signal: stop.signal });
    await new Promise(setImmediate);
    expect(said).toHaveLength(1);
    expect(said[0]).toContain("[quaymesh gateway root renew-issuing --root-key FILE]");
    clock.advance(86_400_000);
    await new Promise(setImmediate);
    expect(said).toHaveLength(2);
    stop.abort();
    clock.advance(86_400_000);
    await new Promise(setImmediate);
    expect(said).toHaveLength(2);
  });

  test("that cannot be renewed for another reason is an error; a root that ends soon is told of too", async () => {
    const { options, said } = scene({ root: YEAR, issuing: YEAR / 2 }, "fails");
    await lookOnce(options);
    expect(said).toEqual([
      "warn: the mesh's root runs out: rotate it [quaymesh gateway root rotate start]",
      "error: the issuing intermediate could not be renewed",
    ]);
  });
});
