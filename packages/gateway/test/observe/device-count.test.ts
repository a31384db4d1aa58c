import { expect, test } from "vitest";
import type { Store } from "../../src/store/port.ts";
import { testGateway } from "../support/gateway.ts";

test("status and counters know how many devices there are, revoked ones too, without reading them all", async () => {
  const list = () => Promise.reject(new Error("every device was read"));
  const wrapStore = (store: Store): Store => ({ ...store, devices: { ...store.devices, list } });
  await using gateway = await testGateway({ wrapStore });
  await gateway.enroll("a");
  await gateway.core.devices.revoke(await gateway.enroll("b"));
  expect(await gateway.core.status()).toMatchObject({ devices: 2 });
  expect(await gateway.core.stats()).toMatchObject({ devices: 2 });
});
