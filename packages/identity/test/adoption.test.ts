import { KeyPair, TrustIndex, type EnrolledCertificate, type IssuedDeviceCertificate } from "@quaymesh/identity";
import { describe, expect, test } from "vitest";
import { createMesh, DEVICE_ID, issue, NOW, OTHER_DEVICE_ID, TemporaryDirectory } from "./support.ts";

const enrolled = ({ serial, spkiSha256 }: IssuedDeviceCertificate): EnrolledCertificate => ({ serial, spkiSha256 });

/** A restored store that knows a device by its first certificate; it had another since. */
async function restored(adoptBefore: number | undefined) {
  await using temporary = await TemporaryDirectory.open();
  const mesh = await createMesh(temporary.path);
  const key = await KeyPair.generate();
  const [first, second] = [await issue(mesh, key), await issue(mesh, key)];
  const index = new TrustIndex({ meshId: mesh.authority.meshId, now: () => NOW });
  const load = (device: Parameters<TrustIndex["load"]>[0]["devices"][number]): void =>
    index.load({ revocationEpoch: 0, devices: [device], ...(adoptBefore !== undefined && { adoptBefore }) });
  load({ kind: "enrolled", deviceId: DEVICE_ID, certificates: [enrolled(first)] });
  const judge = (leaf: IssuedDeviceCertificate) => {
    const verdict = index.authorize({ chain: leaf.chain, spkiSha256: leaf.spkiSha256 });
    return verdict.kind === "accept" ? (verdict.adopted === true ? "adopted" : "accept") : verdict.reason;
  };
  return { mesh, key, first, second, index, load, judge };
}

describe("a restored store's trust", () => {
  test("takes a certificate of a key it knows that was issued before the restore, and says that it does", async () => {
    const { first, second, judge } = await restored(NOW);
    expect([judge(first), judge(second)]).toEqual(["accept", "adopted"]);
  });

  test("takes none that became valid later, and none at all where nothing was restored", async () => {
    const { second } = await restored(NOW);
    for (const before of [undefined, second.notBefore, 0]) {
      const other = await restored(before);
      expect([other.judge(other.first), other.judge(other.second)]).toEqual(["accept", "unknown"]);
    }
  });

  test("takes none of another key, of a device it does not know, or of one that is revoked or frozen", async () => {
    const { mesh, key, second, load, judge, first, index } = await restored(NOW);
    expect(judge(await issue(mesh, await KeyPair.generate()))).toBe("unknown");
    expect(judge(await issue(mesh, key, OTHER_DEVICE_ID))).toBe("unknown");
    load({ kind: "enrolled", deviceId: DEVICE_ID, certificates: [enrolled(first)], frozen: true });
    expect(judge(second)).toBe("frozen");
    load({ kind: "enrolled", deviceId: DEVICE_ID, certificates: [] });
    expect(judge(second)).toBe("unknown");
    load({ kind: "enrolled", deviceId: DEVICE_ID, certificates: [enrolled(first)] });
    index.revoke(DEVICE_ID, 1);
    expect(judge(second)).toBe("revoked");
  });
});
