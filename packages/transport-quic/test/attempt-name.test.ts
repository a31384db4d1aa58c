/** An attempt that was refused has one name on both sides, so that what a node says and what its gateway logs can be put side by side. */
import { expect, test } from "vitest";
import { TransportError, verdictOfRefusal, type Connection, type RefusedAttempt } from "@quaymesh/protocol";
import { createAuthority } from "./support/certificates.ts";
import { openMesh, type MeshOptions } from "./support/mesh.ts";

/** What the dialer has: the name, whoever refused whom. */
async function nameOf(dialing: Promise<Connection>): Promise<string | undefined> {
  try {
    const connection = await dialing;
    await connection.closed;
    return connection.attempt;
  } catch (error) {
    if (error instanceof TransportError) return error.attempt;
    throw error;
  }
}

const CASES: readonly { readonly what: string; readonly verdict: string; readonly mesh: MeshOptions }[] = [
  { what: "judged", verdict: "revoked", mesh: { authorize: () => ({ kind: "refuse", reason: "revoked" }) } },
  { what: "full", verdict: "busy", mesh: { limits: { maxConnections: 0 } } },
  {
    what: "full, after a Retry",
    verdict: "busy",
    mesh: { limits: { maxConnections: 0 }, transport: { retry: "always" } },
  },
  {
    what: "judged, after a Retry",
    verdict: "frozen",
    mesh: { authorize: () => ({ kind: "refuse", reason: "frozen" }), transport: { retry: "always" } },
  },
];

test.each(CASES)("one name on both sides: $what", async ({ verdict, mesh: options }) => {
  const told: RefusedAttempt[] = [];
  await using mesh = await openMesh({ ...options, onRefused: (refused) => told.push(refused) });
  const attempt = await nameOf(mesh.dial());
  expect(attempt).toMatch(/^[0-9a-f]{16,40}$/u);
  expect(told.map((refused) => ({ attempt: refused.attempt, verdict: verdictOfRefusal(refused) }))).toEqual([
    { attempt, verdict },
  ]);
});

test("a client of another root, and one that takes us for another mesh's, are told of with the verdict of whoever refused", async () => {
  const told: RefusedAttempt[] = [];
  await using mesh = await openMesh({ onRefused: (refused) => told.push(refused) });
  const other = await createAuthority("other root");
  const names = [
    await nameOf(mesh.dial({ credentials: await other.issue("stranger") })),
    await nameOf(mesh.dial({ trust: { kind: "anchored", anchorsPem: other.anchorsPem } })),
  ];
  await expect.poll(() => told.length).toBe(2);
  expect(told.map((refused) => ({ attempt: refused.attempt, verdict: verdictOfRefusal(refused) }))).toEqual(
    names.map((attempt) => ({ attempt, verdict: "untrusted" })),
  );
  expect(told[1]?.close).toMatchObject({ byPeer: true });
});

test("one that is let in is not told of, and both ends call its connection the same", async () => {
  const told: RefusedAttempt[] = [];
  await using mesh = await openMesh({ onRefused: (refused) => told.push(refused) });
  const accepted = mesh.listener[Symbol.asyncIterator]().next();
  const near = await mesh.dial();
  const { value: far } = await accepted;
  expect(far?.attempt).toBe(near.attempt);
  expect(told).toEqual([]);
});
