/** A door that is always open is no condition of the gateway's: what its process cannot do now, it is asked to do again. */
import { expect, test } from "vitest";
import { systemClock, type Clock } from "../../src/clock.ts";
import { openRoom } from "./room.ts";

test("a gateway starts though its pairing process does not, and tries again", async () => {
  const held: (() => void)[] = [];
  const after: Clock["after"] = (delayMs, run) => {
    // The keeper's pause; the endpoint's own bounds pass.
    if (delayMs !== 5000) return systemClock.after(delayMs, run);
    held.push(run);
    return () => undefined;
  };
  await using room = await openRoom({
    clock: { ...systemClock, after },
    door: "always",
    childModule: new URL("silent-child.ts", import.meta.url),
    endpoint: { startMs: 100, silenceMs: 1000 },
  });
  expect(room.endpoint.pid).toBeUndefined();
  expect(held).toHaveLength(1);
  held.splice(0).forEach((run) => run());
  await expect.poll(() => held.length).toBe(1);
});
