import { describe, expect, test } from "vitest";
import type { StoreUnderTest } from "./store.ts";
import { certificateOf, deviceIdOf, enrollInput, sessionInput, stepTask, submitInput, T0 } from "./store-fixtures.ts";

const A = deviceIdOf("A");
const B = deviceIdOf("B");
const C = deviceIdOf("C");
const TASK = deviceIdOf("T");

/** Devices, certificates, sessions and revocation. */
export function deviceContract(open: () => Promise<StoreUnderTest>): void {
  describe("devices", () => {
    test("an enrolled device is found by id, by prefix, by name and by key, after a restart too", async () => {
      await using under = await open();
      const { device, kind } = await under.store.devices.enroll(enrollInput(A));
      expect(kind).toBe("created");
      const store = await under.reopen();
      for (const wanted of [A, A.slice(0, 6).toLowerCase(), "name-A"]) {
        expect((await store.devices.find(wanted)).map(({ deviceId }) => deviceId)).toEqual([A]);
      }
      expect((await store.devices.findByKey(device.spkiSha256))?.deviceId).toBe(A);
      expect(await store.devices.list()).toEqual([device]);
      expect((await store.devices.certificates(A))[0]).toEqual(certificateOf(A, `serial-${A}`));
    });

    test("enrolling twice with one certificate is one enrolment", async () => {
      await using under = await open();
      const first = await under.store.devices.enroll(enrollInput(A));
      const second = await under.store.devices.enroll(enrollInput(A));
      expect(second).toEqual({ ...first, kind: "repeated" });
      expect(await under.store.devices.list()).toHaveLength(1);
      expect(await under.store.devices.count()).toBe(1);
    });

    test("a new certificate of a known device retires those before it", async () => {
      await using under = await open();
      await under.store.devices.enroll(enrollInput(A, "one"));
      const again = await under.store.devices.enroll(enrollInput(A, "two"));
      expect(again.kind).toBe("repaired");
      expect(again.retired).toEqual(["one"]);
      const { devices } = await under.store.devices.trustSnapshot();
      expect(devices).toMatchObject([{ kind: "enrolled", deviceId: A, certificates: [{ serial: "two" }] }]);
    });

    test("a key that belongs to a device is refused for another", async () => {
      await using under = await open();
      await under.store.devices.enroll(enrollInput(A));
      const stolen = { ...enrollInput(B), certificate: { ...certificateOf(B, "other"), ...keyOf(A) } };
      await expect(under.store.devices.enroll(stolen)).rejects.toMatchObject({ code: "DEVICE_KEY_KNOWN" });
      expect(await under.store.devices.get(B)).toBeUndefined();
    });

    test("enrolling moves its pairing request, or does not happen", async () => {
      await using under = await open();
      const { pairing, devices } = under.store;
      const request = {
        requestId: "r",
        windowId: "w",
        requestedAt: T0,
        updatedAt: T0,
        deviceId: undefined,
        body: "{}",
      };
      await pairing.putRequest({ ...request, state: "approved" });
      const move = { requestId: "r", from: "approved", to: "issued", body: "{1}" };
      await devices.enroll({ ...enrollInput(A), request: move });
      expect(await pairing.request("r")).toMatchObject({ state: "issued", deviceId: A, body: "{1}" });
      const late = { ...enrollInput(B), request: move };
      await expect(devices.enroll(late)).rejects.toMatchObject({ code: "REQUEST_NOT_PENDING" });
      expect(await devices.get(B)).toBeUndefined();
    });

    test("of devices that are enrolled at once through a window, no more come in than it has uses left", async () => {
      await using under = await open();
      const window = { windowId: "w", codeId: undefined, state: "open", openedAt: T0, expiresAt: T0 + 1 };
      await under.store.pairing.putWindow({ ...window, failures: 0, usesLeft: 2, sealedCode: undefined, body: "{}" });
      const through = (deviceId: string) => ({ ...enrollInput(deviceId), windowId: "w" });
      const answers = await Promise.allSettled([A, B, C].map((id) => under.store.devices.enroll(through(id))));
      expect(answers.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected"]);
      expect(answers[2]).toMatchObject({ reason: { code: "WINDOW_USED_UP" } });
      // The same certificate again is the same use.
      await under.store.devices.enroll(through(A));
      const store = await under.reopen();
      expect(await store.pairing.window("w")).toMatchObject({ usesLeft: 0 });
      expect((await store.devices.list()).map(({ deviceId }) => deviceId)).toEqual([A, B]);
    });

    test("a key that a device had before it got another stays out once the device is revoked", async () => {
      await using under = await open();
      const { devices } = under.store;
      await devices.enroll(enrollInput(A, "one"));
      const { spkiSha256 } = enrollInput(A).certificate;
      await devices.enroll({ ...enrollInput(A), certificate: { ...certificateOf(A, "two"), ...keyOf(B) } });
      expect(await devices.findByKey(spkiSha256)).toBeUndefined();
      await devices.revoke({ deviceId: A, receiptId: "r", reason: "", now: T0 });
      expect(await devices.findByKey(spkiSha256)).toMatchObject({ deviceId: A, revoked: true });
      const back = { ...enrollInput(C), certificate: { ...certificateOf(C, "three"), ...keyOf(A) } };
      await expect(devices.enroll(back)).rejects.toMatchObject({ code: "DEVICE_REVOKED" });
      expect(await devices.get(C)).toBeUndefined();
    });

    test("what a device says it knows of its mesh is kept as it last said it, and a hello that says nothing leaves it", async () => {
      await using under = await open();
      const { device } = await under.store.devices.enroll(enrollInput(A));
      expect(device).toMatchObject({ rootVersion: 0, moveVersion: 0 });
      await under.store.sessions.open({ ...sessionInput(A), mesh: { rootVersion: 2, moveVersion: 1_800_000_000 } });
      await under.store.sessions.open(sessionInput(A));
      const store = await under.reopen();
      expect(await store.devices.get(A)).toMatchObject({ rootVersion: 2, moveVersion: 1_800_000_000 });
      await store.sessions.noteMesh({ deviceId: A, rootVersion: 1, moveVersion: 0 });
      expect(await store.devices.get(A)).toMatchObject({ rootVersion: 1, moveVersion: 0 });
    });

    test("each session of a device has an epoch above the last", async () => {
      await using under = await open();
      await under.store.devices.enroll(enrollInput(A));
      const first = await under.store.sessions.open(sessionInput(A));
      const store = await under.reopen();
      const second = await store.sessions.open({ ...sessionInput(A), now: T0 + 5 });
      expect([first.sessionEpoch, second.sessionEpoch]).toEqual([1, 2]);
      // The first session's end says nothing of the second.
      await store.sessions.close({ deviceId: A, sessionEpoch: 1, now: T0 + 99 });
      expect((await store.devices.get(A))?.lastSeenAt).toBe(T0 + 5);
      await expect(store.sessions.open(sessionInput(B))).rejects.toMatchObject({ code: "DEVICE_NOT_FOUND" });
    });
  });

  describe("revocation", () => {
    test("a revocation has the next epoch and a receipt, and a repeat has the same one", async () => {
      await using under = await open();
      const { devices } = under.store;
      await devices.enroll(enrollInput(A));
      await devices.enroll(enrollInput(B));
      const revoked = await devices.revoke({ deviceId: A, receiptId: "one", reason: "sold", now: T0 });
      expect(revoked).toMatchObject({ repeated: false, receipt: { revocationEpoch: 1, reason: "sold" } });
      const measured = { sessionsClosed: 1, closedMs: 2.5, now: T0 + 3 };
      const finished = await devices.finishRevocation({ receiptId: "one", ...measured });
      const store = await under.reopen();
      expect((await store.devices.get(A))?.lastSeenAt).toBe(T0 + 3);
      const again = await store.devices.revoke({ deviceId: A, receiptId: "two", reason: "again", now: T0 + 9 });
      expect(again).toEqual({ receipt: finished, repeated: true, tasks: [] });
      expect(await store.devices.revocationEpoch()).toBe(1);
      const other = await store.devices.revoke({ deviceId: B, receiptId: "three", reason: "", now: T0 });
      expect(other.receipt.revocationEpoch).toBe(2);
    });

    test("a revoked device opens no session, gets no certificate and cannot be enrolled again", async () => {
      await using under = await open();
      const { devices, sessions } = under.store;
      await devices.enroll(enrollInput(A));
      await devices.revoke({ deviceId: A, receiptId: "one", reason: "", now: T0 });
      await expect(sessions.open(sessionInput(A))).rejects.toMatchObject({ code: "DEVICE_REVOKED" });
      await expect(devices.addCertificate(certificateOf(A, "new"))).rejects.toMatchObject({ code: "DEVICE_REVOKED" });
      await expect(devices.enroll(enrollInput(A, "new"))).rejects.toMatchObject({ code: "DEVICE_REVOKED" });
      expect((await devices.trustSnapshot()).devices).toEqual([{ kind: "revoked", deviceId: A }]);
    });

    test("its running work is fenced: moved where it may run elsewhere, failed where not", async () => {
      await using under = await open();
      const { devices, tasks } = under.store;
      await devices.enroll(enrollInput(A));
      const ids = [deviceIdOf("P"), deviceIdOf("Q"), deviceIdOf("R")] as const;
      await tasks.submit(submitInput(ids[0], { idempotent: true }));
      await tasks.submit(submitInput(ids[1]));
      await tasks.submit(submitInput(ids[2], { target: { kind: "device", deviceId: A } }));
      for (const taskId of ids.slice(0, 2)) {
        await stepTask(under.store, taskId, { kind: "lease", device: A, now: T0 });
        await stepTask(under.store, taskId, { kind: "accepted", token: 1, now: T0 });
      }
      expect(await devices.revocationImpact(A)).toEqual({ runningTasks: 2, queuedTasks: 1 });
      const { receipt } = await devices.revoke({ deviceId: A, receiptId: "one", reason: "", now: T0 });
      expect(receipt).toMatchObject({ attemptsFenced: 2, tasksRequeued: 1 });
      const states = await Promise.all(ids.map(async (id) => (await tasks.get(id))?.state));
      expect(states).toEqual(["retry-wait", "failed", "failed"]);
      const refused = stepTask(under.store, ids[0], { kind: "lease", device: A, now: T0 + 9000 });
      await expect(refused).rejects.toMatchObject({ code: "DEVICE_REVOKED" });
    });

    test("revoking an unknown device is refused", async () => {
      await using under = await open();
      const revoke = under.store.devices.revoke({ deviceId: TASK, receiptId: "one", reason: "", now: T0 });
      await expect(revoke).rejects.toMatchObject({ code: "DEVICE_NOT_FOUND" });
      expect(await under.store.devices.revocationEpoch()).toBe(0);
    });
  });
}

function keyOf(deviceId: string) {
  const { spkiSha256 } = certificateOf(deviceId, "");
  return { spkiSha256 };
}
