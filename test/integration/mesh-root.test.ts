/** The root of a mesh is rotated over QUIC: nodes that are there follow, one that slept does too, and in the end the old root opens nothing. */
import { cp, readFile } from "node:fs/promises";
import { certificatesFromPem, meshServerName, sha256 } from "@quaymesh/identity";
import { Node } from "@quaymesh/node";
import { X509Certificate } from "node:crypto";
import { describe, expect, test } from "vitest";
import { MeshWorld, transport, until } from "./mesh-world.ts";

function fingerprints({ identity }: Node): readonly string[] {
  return certificatesFromPem(identity.rootPem).map((der) =>
    Buffer.from(sha256(new X509Certificate(der).publicKey.export({ type: "spki", format: "der" }))).toString("hex"),
  );
}

describe("a rotation of the root", () => {
  test("is followed over live sessions, and by a node that slept through it, without pairing again; the old root then opens nothing", async () => {
    await using world = await MeshWorld.open();
    await using gateway = await world.gateway();
    await using client = await world.operator();
    await world.pair(client, "awake");
    await world.pair(client, "asleep");
    await cp(world.nodeState("asleep"), world.nodeState("before"), { recursive: true });
    const before = await client.mesh.root();
    expect(before).toMatchObject({ phase: "steady", keyIsHere: true, devices: 2, unaware: [], outdated: [] });
    await using awake = await world.run("awake");
    await until(() => awake.node.state.kind === "online");

    const started = await client.mesh.startRotation();
    expect(started).toMatchObject({
      phase: "overlap",
      meshId: before.meshId,
      roots: [{ shown: true }, { shown: false }],
    });
    await until(async () => {
      const { unaware, outdated } = await client.mesh.root();
      return unaware.join() === "asleep" && outdated.join() === "asleep";
    });
    const [oldRoot = "", newRoot = ""] = started.roots.map(({ fingerprint }) => fingerprint);
    expect(fingerprints(awake.node)).toEqual([oldRoot, newRoot]);

    await expect(client.mesh.finishRotation({ force: true })).rejects.toMatchObject({ code: "ROTATION_STATE" });
    await expect(client.mesh.switchRotation()).rejects.toMatchObject({ code: "DEVICES_BEHIND" });
    expect(await client.mesh.switchRotation({ force: true })).toMatchObject({ phase: "switched" });
    await expect(client.mesh.finishRotation()).rejects.toMatchObject({ code: "DEVICES_BEHIND" });
    expect(await client.mesh.finishRotation({ force: true })).toMatchObject({
      phase: "steady",
      roots: [{ version: 1 }],
    });

    // In a new session, which the new root alone proves, it lets go of the old one.
    await until(() => fingerprints(awake.node).join() === newRoot && awake.node.state.kind === "online");

    await using asleep = await world.run("asleep");
    // The log follows the state: what it is to say is waited for there.
    await until(() => asleep.lines.some(({ event }) => event === "link.online"));
    expect(asleep.lines.map(({ event }) => event)).toEqual(
      expect.arrayContaining(["roots.followed", "certificate.renewed"]),
    );
    await until(async () => (await client.mesh.root()).outdated.length === 0);
    expect((await client.devices.list()).map(({ name }) => name).toSorted()).toEqual(["asleep", "awake"]);

    // What it had before: its certificate of then hangs from the old root, and no handshake takes it any more.
    const old = await Node.open({ state: world.nodeState("before"), transport });
    const keyPem = await readFile(`${world.nodeState("before")}/device.key`, "utf8");
    const { chainPem, meshId } = old.identity;
    await old.stop();
    const [host = "", port = ""] = (gateway.addresses[0] ?? "").split(":");
    await using refused = await transport.dial(
      { host, port: Number(port) },
      {
        protocol: "quaymesh/1",
        serverName: meshServerName(meshId),
        credentials: { keyPem, chainPem },
        trust: { kind: "anchored", anchorsPem: awake.node.identity.rootPem },
      },
    );
    expect(await refused.closed).toMatchObject({ kind: "transport", byPeer: true, code: 0x130 });
  }, 240_000);

  test("outlives a restart of the gateway in each of its phases, and pairs new devices by ticket and by PIN in the end", async () => {
    await using world = await MeshWorld.open();
    {
      await using _first = await world.gateway();
      await using client = await world.operator();
      await client.mesh.startRotation({ overlapMs: 1000 });
    }
    const seen: string[] = [];
    for (const step of ["switchRotation", "finishRotation"] as const) {
      await using _again = await world.gateway();
      await using client = await world.operator();
      seen.push((await client.mesh.root()).phase);
      await client.mesh[step]();
    }
    expect(seen).toEqual(["overlap", "switched"]);
    await using _last = await world.gateway();
    await using client = await world.operator();
    const root = await client.mesh.root();
    expect(root).toMatchObject({ phase: "steady", roots: [{ version: 1, shown: true }], keyIsHere: true });
    for (const code of ["ticket", "pin"] as const) {
      await world.pair(client, code, code);
      await using running = await world.run(code);
      await until(() => running.node.state.kind === "online");
      expect(running.node.identity.meshId).toBe(root.meshId);
      expect(fingerprints(running.node)).toEqual([root.roots[0]?.fingerprint]);
    }
  }, 240_000);
});

describe("a root's key", () => {
  test("goes offline: the gateway runs on, and what needs the key asks for it", async () => {
    await using world = await MeshWorld.open();
    await using _gateway = await world.gateway();
    await using client = await world.operator();
    await expect(client.mesh.exportRootKey("short")).rejects.toMatchObject({ code: "REQUEST_INVALID" });
    const passphrase = "correct horse battery staple";
    const file = await client.mesh.exportRootKey(passphrase);
    expect(file).not.toContain("PRIVATE KEY");
    await expect(client.mesh.removeRootKey("00".repeat(32))).rejects.toMatchObject({ code: "ROOT_KEY_WRONG" });
    const { roots } = await client.mesh.root();
    expect(await client.mesh.removeRootKey(roots[0]?.fingerprint ?? "")).toMatchObject({ keyIsHere: false });
    await expect(client.mesh.exportRootKey(passphrase)).rejects.toMatchObject({ code: "ROOT_KEY_OFFLINE" });
    await expect(client.mesh.renewIssuing()).rejects.toMatchObject({ code: "ROOT_KEY_OFFLINE" });
    await expect(client.mesh.startRotation()).rejects.toMatchObject({ code: "ROOT_KEY_OFFLINE" });
    const wrong = { file, passphrase: "wrong horse battery staple" };
    await expect(client.mesh.renewIssuing({ rootKey: wrong })).rejects.toMatchObject({ code: "ROOT_KEY_WRONG" });

    // Pairing, sessions and a new intermediate go on without it being here.
    await world.pair(client, "box");
    await using box = await world.run("box");
    await until(() => box.node.state.kind === "online");
    await client.mesh.renewIssuing({ rootKey: { file, passphrase } });
    expect(await client.devices.rotate("box")).toEqual({ state: "rotated" });
    expect(await client.mesh.root()).toMatchObject({ keyIsHere: false, phase: "steady" });

    const { roots: rotating } = await client.mesh.startRotation({ rootKey: { file, passphrase } });
    await until(async () => (await client.mesh.root()).outdated.length === 0);
    await client.mesh.switchRotation();
    expect(await client.mesh.finishRotation()).toMatchObject({
      keyIsHere: true,
      roots: [{ fingerprint: rotating[1]?.fingerprint }],
    });
    // The key of the root before is good for nothing now.
    await expect(client.mesh.startRotation({ rootKey: { file, passphrase } })).rejects.toMatchObject({
      code: "ROOT_KEY_WRONG",
    });
  }, 240_000);
});
