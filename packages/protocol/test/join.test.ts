import * as fc from "fast-check";
import { JOIN_TOKEN_BYTES, judgeJoin, type JoinTokens } from "@quaymesh/protocol";
import { describe, expect, it } from "vitest";

/** Tokens that are never the same twice. */
function tokens(): () => Uint8Array {
  let next = 0;
  return () => {
    const token = new Uint8Array(JOIN_TOKEN_BYTES);
    new DataView(token.buffer).setUint32(0, ++next);
    return token;
  };
}

/** A gateway and the holders of one key, each with what it has stored. */
class World {
  held: JoinTokens | undefined;
  frozen = false;
  readonly holders: (Uint8Array | undefined)[] = [undefined];
  readonly #fresh = tokens();

  /** @param kept whether the welcome reaches the holder's disk */
  join(holder: number, kept: boolean): boolean {
    const verdict = judgeJoin(this.held, this.holders[holder], this.#fresh());
    if (verdict.kind === "stale") {
      this.frozen = true;
      return false;
    }
    this.held = verdict.tokens;
    if (kept) this.holders[holder] = verdict.tokens.current;
    return true;
  }
}

describe("join tokens", () => {
  it("never stop an honest device, however often welcomes or writes are lost", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean()), (kept) => {
        const world = new World();
        for (const each of kept) expect(world.join(0, each)).toBe(true);
      }),
    );
  });

  it("stop two holders of one copy: once each has joined and stored, the second round at the latest", () => {
    fc.assert(
      fc.property(
        fc.array(fc.boolean()),
        fc.array(fc.record({ holder: fc.nat(1), kept: fc.boolean() })),
        (before, steps) => {
          const world = new World();
          for (const kept of before) world.join(0, kept);
          world.holders.push(world.holders[0]);
          for (const { holder, kept } of steps) if (!world.frozen) world.join(holder, kept);
          for (let round = 0; round < 2; round++)
            for (const holder of [0, 1]) if (!world.frozen) world.join(holder, true);
          expect(world.frozen).toBe(true);
        },
      ),
    );
  });

  it("stop a copy that was put back after two more joins, and not one that missed only the last", () => {
    const world = new World();
    for (let at = 0; at < 3; at++) world.join(0, true);
    const old = world.holders[0];
    world.join(0, true);
    world.holders[0] = old;
    expect(world.join(0, true)).toBe(true);
    const older = world.holders[0];
    world.join(0, true);
    world.join(0, true);
    world.holders[0] = older;
    expect(world.join(0, true)).toBe(false);
  });

  it("take nothing for a token: a device that showed one before may not come without", () => {
    const world = new World();
    world.join(0, true);
    world.join(0, true);
    world.holders[0] = undefined;
    expect(world.join(0, true)).toBe(false);
  });

  it("take anything where the gateway holds nothing, as after an operator's word", () => {
    const fresh = new Uint8Array(JOIN_TOKEN_BYTES).fill(1);
    for (const shown of [undefined, new Uint8Array(JOIN_TOKEN_BYTES)]) {
      expect(judgeJoin(undefined, shown, fresh)).toEqual({ kind: "join", tokens: { current: fresh, previous: shown } });
    }
  });
});
