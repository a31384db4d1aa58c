import { stat, statfs } from "node:fs/promises";
import { ok, wrong, type Check } from "@quaymesh/protocol";
import type { GatewayDoctorContext } from "./context.ts";

const GROUP_AND_OTHERS = 0o077;
/** A transaction, its WAL, and what a checkpoint needs. */
const MIN_FREE_BYTES = 64 << 20;
const LOW_FREE_BYTES = 1 << 30;

/** The state directory is there, is ours, and nobody else can read it. */
export const stateCheck: Check<GatewayDoctorContext> = {
  name: "state",
  async run({ layout }) {
    const { directory } = layout;
    const found = await stat(directory).catch(() => undefined);
    if (found?.isDirectory() !== true) {
      const fix = "Name the right one with --state DIR, or make it with:  quaymesh gateway run";
      return wrong("failed", `there is no state directory at ${directory}`, { code: "STATE_MISSING", fix });
    }
    const looked = [directory, layout.authority, layout.authorityKey, layout.database, layout.generation];
    const open: string[] = [];
    for (const path of looked) {
      const mode = (await stat(path).catch(() => undefined))?.mode ?? 0;
      if ((mode & GROUP_AND_OTHERS) !== 0) open.push(path);
    }
    if (open.length > 0) {
      const rest = { code: "STATE_NOT_PRIVATE", fix: `chmod -R go= ${directory}`, details: { open } };
      return wrong("failed", `others can reach ${open.join(", ")}`, rest);
    }
    const uid = process.getuid?.();
    if (uid !== undefined && uid !== 0 && uid !== found.uid) {
      const fix = "Run the gateway, and this, as the user who owns it.";
      const seen = `${directory} belongs to user ${found.uid}, and this is user ${uid}`;
      return wrong("failed", seen, { code: "STATE_PERMISSIONS", fix });
    }
    return ok(`${directory}: private`, { directory });
  },
};

/** Room on the disk that holds the state: a gateway whose disk is full takes no events and no work. */
export const diskCheck: Check<GatewayDoctorContext> = {
  name: "disk",
  needs: ["state"],
  async run({ layout }) {
    const { bavail, bsize } = await statfs(layout.directory);
    const freeBytes = bavail * bsize;
    const seen = `${(freeBytes / 1e9).toFixed(1)} GB free`;
    const fix = `Free some space on the disk that holds ${layout.directory}.`;
    const rest = { code: "STORE_FULL", fix, details: { freeBytes } };
    if (freeBytes < MIN_FREE_BYTES) return wrong("failed", seen, rest);
    return freeBytes < LOW_FREE_BYTES ? wrong("warning", seen, rest) : ok(seen, { freeBytes });
  },
};
