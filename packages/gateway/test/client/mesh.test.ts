import { describe, expect, test } from "vitest";
import type { MeshService, MoveView } from "../../src/mesh/service.ts";
import { connect } from "../../src/client/index.ts";
import { GatewayError } from "../../src/errors.ts";
import { fakeMesh, serveFakes } from "../api/fake-services.ts";

describe("the mesh through the client", () => {
  test("comes as plain data, times in milliseconds, phases as words", async () => {
    await using api = await serveFakes();
    await using client = await connect({ state: api.directory });
    expect(await client.mesh.root()).toEqual({
      meshId: "aaaaaaaaaaaaaaaa",
      meshName: "harbor",
      roots: [{ version: 0, fingerprint: "cd".repeat(32), notAfter: 2e12, issuingNotAfter: 1.9e12, shown: true }],
      phase: "steady",
      overlapUntil: undefined,
      keyIsHere: true,
      devices: 2,
      unaware: [],
      outdated: [],
    });
    expect(await client.mesh.lastMove()).toBeUndefined();
    expect(await client.mesh.move({ addresses: ["b:1"] })).toEqual({
      version: 3,
      at: 1.7e12,
      addresses: ["b:1"],
      pairing: ["b:2"],
      devices: 2,
      unaware: ["nas"],
    });
    expect(await client.mesh.exportRootKey("twelve chars")).toBe("sealed with 12 characters");
  });

  test("carries what a step was asked for, and why it was refused", async () => {
    const asked: unknown[] = [];
    const note =
      <T>(answer: () => Promise<T>) =>
      (...input: readonly unknown[]): Promise<T> => {
        asked.push(...input);
        return answer();
      };
    const plain = fakeMesh();
    const mesh: MeshService = {
      ...plain,
      removeRootKey: note(() => plain.root()),
      renewIssuing: note(() => plain.root()),
      startRotation: note(() => plain.root()),
      finishRotation: note(() => plain.root()),
      switchRotation: () => Promise.reject(new GatewayError("DEVICES_BEHIND", "devices that are behind: nas")),
      move: note(() => plain.lastMove() as Promise<MoveView>),
    };
    await using api = await serveFakes({ parts: () => ({ mesh }) });
    await using client = await connect({ state: api.directory });
    const rootKey = { file: "{}", passphrase: "correct horse" };
    await client.mesh.removeRootKey("ab");
    await client.mesh.renewIssuing();
    await client.mesh.startRotation({ rootKey, overlapMs: 90_500 });
    await client.mesh.finishRotation({ force: true });
    expect(asked).toMatchObject(["ab", {}, { rootKey, overlapMs: 90_500 }, { force: true }]);
    expect(asked[1]).not.toHaveProperty("rootKey");
    await expect(client.mesh.switchRotation()).rejects.toMatchObject({
      code: "DEVICES_BEHIND",
      hint: expect.stringContaining("gateway root show") as string,
    });
  });
});
