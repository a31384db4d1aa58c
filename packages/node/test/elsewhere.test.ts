/** Hints of where a gateway might be: followed only where the known addresses are silent, held to the same pin, and no news when they lie. */
import { codeIdOf, Secret, type Ticket } from "@quaymesh/identity";
import type { SocketAddress } from "@quaymesh/protocol";
import { join as joinPath } from "node:path";
import { expect, it } from "vitest";
import { join, type JoinStep } from "../src/index.ts";
import { certificateNetwork, FakePairing, PAIRING_ADDRESS } from "./support/fake-pairing.ts";
import { createAuthority, temporaryDirectory } from "./support/paired-state.ts";
import { sharedAuthority } from "./support/scene.ts";

const SECRET = Uint8Array.from({ length: 16 }, (_, index) => index);
const MOVED_FROM: SocketAddress = { host: "192.0.2.99", port: 7421 };

async function scene(at: readonly SocketAddress[]) {
  const network = certificateNetwork();
  const gateway = await FakePairing.listen(network, await sharedAuthority());
  const directory = await temporaryDirectory();
  const { meshId, rootSpkiSha256 } = gateway.authority;
  const secret = new Secret(SECRET.slice());
  const expiresAt = Date.now() + 60_000;
  const ticket: Ticket = { meshId, rootSpkiSha256, addresses: at, secret, codeId: codeIdOf(secret), expiresAt };
  const asked: string[] = [];
  const steps: JoinStep[] = [];
  return {
    gateway,
    ticket,
    asked,
    dialed: () => steps.flatMap((step) => (step.kind === "dialing" ? [step.address.host] : [])),
    join: (hints: readonly SocketAddress[] | Error, pinned: Ticket = ticket) =>
      join({
        state: joinPath(directory.path, "state"),
        transport: network,
        invitation: { kind: "ticket", ticket: pinned },
        onStep: (step) => steps.push(step),
        elsewhere: (mesh) => {
          asked.push(mesh);
          return hints instanceof Error ? Promise.reject(hints) : Promise.resolve(hints);
        },
      }),
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      await directory[Symbol.asyncDispose]();
    },
  };
}

it("a gateway that moved is found by its mesh, and joined as if the ticket had named the place", async () => {
  await using it = await scene([MOVED_FROM]);
  it.gateway.open({ ...it.ticket, kind: "ticket" });
  const joining = it.join([PAIRING_ADDRESS]);
  await it.gateway.until(() => it.gateway.requests.length === 1);
  it.gateway.approve();
  expect(await joining).toMatchObject({ meshId: it.ticket.meshId });
  expect(it.asked).toEqual([it.ticket.meshId]);
  expect(it.dialed()).toEqual([MOVED_FROM.host, PAIRING_ADDRESS.host]);
});

it("an impostor that a hint leads to is refused by the pin before a byte is sent, and the answer stays that nobody is there", async () => {
  await using it = await scene([MOVED_FROM]);
  const other = await createAuthority("elsewhere");
  const ticket = { ...it.ticket, rootSpkiSha256: other.rootSpkiSha256, meshId: other.meshId };
  await expect(it.join([PAIRING_ADDRESS], ticket)).rejects.toMatchObject({
    code: "GATEWAY_UNREACHABLE",
    message: expect.stringContaining(MOVED_FROM.host),
  });
  expect(it.dialed()).toEqual([MOVED_FROM.host, PAIRING_ADDRESS.host]);
  expect(it.gateway.streams).toBe(0);
});

it("hints beyond eight are not followed, nor those that are known; a search that fails found nothing", async () => {
  await using it = await scene([MOVED_FROM]);
  const many = Array.from({ length: 20 }, (_, index) => ({ host: `192.0.2.${100 + index}`, port: 7421 }));
  await expect(it.join([MOVED_FROM, ...many])).rejects.toMatchObject({ code: "GATEWAY_UNREACHABLE" });
  expect(it.dialed()).toEqual([MOVED_FROM.host, ...many.slice(0, 8).map(({ host }) => host)]);
  await expect(it.join(new Error("no multicast"))).rejects.toMatchObject({ code: "GATEWAY_UNREACHABLE" });
});

it("nobody is asked where the ticket's own addresses answer, whatever they answer", async () => {
  await using it = await scene([PAIRING_ADDRESS]);
  await expect(it.join([MOVED_FROM])).rejects.toMatchObject({ code: "PAIR_CLOSED" });
  expect(it.asked).toEqual([]);
});
