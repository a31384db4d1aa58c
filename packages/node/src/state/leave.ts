import { rm, stat } from "node:fs/promises";
import { NodeError } from "../errors.ts";
import { layoutOf } from "./layout.ts";
import { lockState } from "./lock.ts";

/**
 * Forget the mesh: removes the device's key, its identity, and the events that were not sent yet. The gateway is not told; revoke the device there.
 * The key goes first: cut off half way, what is left is of no use to anyone.
 * @returns whether there was an identity
 * @throws {NodeError} `NODE_ALREADY_RUNNING`, `STATE_UNREADABLE`
 */
export async function leave(options: { readonly state: string }): Promise<boolean> {
  const layout = layoutOf(options.state);
  if (!(await exists(layout.directory))) return false;
  using _lock = lockState(layout.lock);
  const wasPaired = await exists(layout.identity);
  try {
    for (const path of [
      layout.key,
      layout.identity,
      layout.join,
      layout.unproved,
      layout.seen,
      layout.status,
      layout.attempts,
      layout.outbox,
    ]) {
      await rm(path, { recursive: true, force: true });
    }
  } catch (cause) {
    throw new NodeError("STATE_UNREADABLE", `could not remove everything in ${layout.directory}`, { cause });
  }
  return wasPaired;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
