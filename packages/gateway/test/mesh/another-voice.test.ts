/** Nodes have stored what only a gateway of this mesh can have said, and this one never did. */
import type { Checkpoint } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import { NO_NEWS } from "../../src/mesh/news.ts";
import { testGateway } from "../support/gateway.ts";

const FORGED: Checkpoint = {
  era: Number.MAX_SAFE_INTEGER,
  generation: 1,
  incarnation: new Uint8Array(16),
  revocationEpoch: 1,
  offset: 1,
  revoked: [],
  mac: new Uint8Array(32),
};

test.each([
  ["follows a move that this gateway never signed", { moved: 8 }, { foreignMove: true, foreignCheckpoint: false }],
  ["shows a checkpoint that it never made", { seen: FORGED }, { foreignMove: false, foreignCheckpoint: true }],
])("the log says so where a node %s, and the node is served", async (_, shown, expected) => {
  await using gateway = await testGateway({ news: { ...NO_NEWS, isForeignMove: (version) => version > 7 } });
  const device = await gateway.enroll("device");
  await (await gateway.connect(device, { moved: 7 })).close();
  const told = () => gateway.lines.filter(({ message }) => message.startsWith("a node has stored what"));
  expect(told()).toEqual([]);
  const node = await gateway.connect(device, shown);
  // An answer shows that what follows the welcome is done.
  await node.heartbeat(1);
  expect(told()).toMatchObject([{ level: "warn", fields: { device: node.deviceId, ...expected } }]);
  // Once a minute: whoever says so with each of a hundred sessions a second does not fill the gateway's log.
  await node.close();
  await (await gateway.connect(device, shown)).heartbeat(1);
  expect(told()).toHaveLength(1);
});
