import { ok, wrong, type Check } from "@quaymesh/protocol";
import { NodeError } from "../errors.ts";
import { loadIdentity, loadKeyOf } from "../state/identity-file.ts";
import { JoinFile } from "../state/join-file.ts";
import type { NodeDoctorContext } from "./context.ts";

/** Not a backup: the gateway takes a directory that is put back for a copy. */
const AGAIN =
  "Pair this machine again: on the gateway  quaymesh pair --device NAME\nand here  quaymesh node join\nIt stays the same device, and events that wait are kept.";
const MOVE_AWAY = `Look at the disk, and move the damaged file away. ${AGAIN}`;

const FIXES: ReadonlyMap<string, string> = new Map([
  ["DEVICE_KEY_MISSING", AGAIN],
  [
    "JOIN_TOKEN_DAMAGED",
    "Look at the disk, remove that file and start the node: the gateway freezes the device, until there\nsomebody says that all is well, with:  quaymesh device unfreeze NAME",
  ],
  ["NODE_NOT_PAIRED", "Pair this machine with:  quaymesh node join"],
  ["STATE_VERSION", "Run the newer Quaymesh that wrote this state."],
  ["STATE_UNREADABLE", "Run this as the user who owns the state directory."],
]);

/** This machine is paired, its key is the one that its certificate is for, and it has what the gateway knows it by from one session to the next. */
export const identityCheck: Check<NodeDoctorContext> = {
  name: "identity",
  needs: ["state"],
  async run(context) {
    try {
      const identity = await loadIdentity(context.layout);
      context.keyPem = (await loadKeyOf(context.layout, identity)).privatePem().reveal();
      await JoinFile.open(context.layout.join);
      context.identity = identity;
      const { deviceId, meshId, mesh } = identity;
      return ok(`device ${deviceId} of mesh "${mesh}"`, { deviceId, meshId, mesh });
    } catch (cause) {
      if (!(cause instanceof NodeError)) throw cause;
      return wrong("failed", cause.message, { code: cause.code, fix: FIXES.get(cause.code) ?? MOVE_AWAY });
    }
  },
};
