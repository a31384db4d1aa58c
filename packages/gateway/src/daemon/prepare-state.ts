import { constants } from "node:fs";
import { access, mkdir, readdir, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { removeAbandoned, workInState } from "../backup/leftovers.ts";
import { GatewayError } from "../errors.ts";
import { errnoOf } from "./errno.ts";
import { stateLayout, type StateLayout } from "./state-directory.ts";

const GROUP_AND_OTHERS = 0o077;

/**
 * Make sure of a private, writable state directory; writes nothing else.
 * @param options.parents make missing parents too; without it a missing parent is refused, since it may be a disk that is not mounted
 * @throws {GatewayError} `STATE_MISSING`, `STATE_NOT_A_DIRECTORY`, `STATE_NOT_WRITABLE`, `STATE_NOT_PRIVATE`
 */
export async function prepareState(directory: string, options: { readonly parents: boolean }): Promise<StateLayout> {
  const layout = stateLayout(directory);
  await makeDirectory(layout.directory, options.parents);
  const found = await stat(layout.directory);
  if (!found.isDirectory()) throw notADirectory(layout.directory);
  if ((found.mode & GROUP_AND_OTHERS) !== 0) {
    const mode = (found.mode & 0o777).toString(8).padStart(4, "0");
    throw new GatewayError("STATE_NOT_PRIVATE", `${layout.directory} has mode ${mode}: others can reach it`, {
      metadata: { path: layout.directory, mode },
    });
  }
  try {
    await access(layout.directory, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw notWritable(layout.directory, cause);
  }
  return layout;
}

/**
 * Remove what was cut short by a kill: temporary files that were never renamed, and what backups were read back in. Only who holds the state's lock may call it.
 */
export async function removeLeftovers(layout: StateLayout): Promise<void> {
  for (const directory of [layout.directory, layout.authority]) {
    const names = await readdir(directory).catch(() => []);
    for (const name of names) if (/^\..+\.tmp$/u.test(name)) await rm(join(directory, name), { force: true });
  }
  const { parent, prefix } = workInState(layout.directory);
  await removeAbandoned(parent, prefix).catch(() => {});
}

async function makeDirectory(directory: string, parents: boolean): Promise<void> {
  try {
    await mkdir(directory, { recursive: parents, mode: 0o700 });
  } catch (cause) {
    switch (errnoOf(cause)) {
      case "EEXIST":
        return;
      case "ENOTDIR":
        throw notADirectory(directory, cause);
      case "ENOENT":
        throw new GatewayError(
          "STATE_MISSING",
          `${directory} cannot be made: its parent ${dirname(directory)} does not exist`,
          { cause, metadata: { path: directory } },
        );
      default:
        throw notWritable(directory, cause);
    }
  }
}

function notADirectory(path: string, cause?: unknown): GatewayError {
  return new GatewayError("STATE_NOT_A_DIRECTORY", `${path} is not a directory`, { cause, metadata: { path } });
}

function notWritable(path: string, cause: unknown): GatewayError {
  const reason = errnoOf(cause) ?? String(cause);
  return new GatewayError("STATE_NOT_WRITABLE", `${path} cannot be written (${reason})`, { cause, metadata: { path } });
}
