import { readdir, stat } from "node:fs/promises";
import { ok, wrong, type Check, type CheckResult } from "@quaymesh/protocol";
import type { NodeDoctorContext } from "./context.ts";

const GROUP_AND_OTHERS = 0o077;

/** The state directory is there, is ours, and nobody else can read it. */
export const stateCheck: Check<NodeDoctorContext> = {
  name: "state",
  async run({ layout }) {
    const { directory } = layout;
    const found = await stat(directory).catch(() => undefined);
    if (found?.isDirectory() !== true) {
      const fix = "Name the right one with --state DIR, or pair this machine with:  quaymesh node join";
      return wrong("failed", `there is no state directory at ${directory}`, { code: "STATE_MISSING", fix });
    }
    const open = await reachableByOthers([directory, layout.key, layout.identity, layout.join, layout.outbox]);
    if (open.length > 0) return notPrivate(directory, open);
    const uid = process.getuid?.();
    if (uid !== undefined && found.uid !== uid && uid !== 0) {
      const fix = "Run the node, and this, as the user who owns it.";
      return wrong("failed", `${directory} belongs to user ${found.uid}, and this is user ${uid}`, {
        code: "STATE_UNREADABLE",
        fix,
      });
    }
    const names = await readdir(directory);
    return ok(`${directory}: private, ${names.length} entries`, { directory });
  },
};

function notPrivate(directory: string, open: readonly string[]): CheckResult {
  return wrong("failed", `others can reach ${open.join(", ")}`, {
    code: "STATE_UNREADABLE",
    fix: `chmod -R go= ${directory}`,
    details: { open },
  });
}

async function reachableByOthers(paths: readonly string[]): Promise<readonly string[]> {
  const looked = await Promise.all(
    paths.map(async (path) => {
      const found = await stat(path).catch(() => undefined);
      return found !== undefined && (found.mode & GROUP_AND_OTHERS) !== 0 ? [path] : [];
    }),
  );
  return looked.flat();
}
