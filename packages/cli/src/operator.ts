import type { GatewayClient } from "@quaymesh/gateway/client";
import { CliError } from "./errors.ts";
import type { CommonOptions, Context } from "./context.ts";
import { requireState } from "./state.ts";

/**
 * Connect to the gateway as its operator: through the admin socket in its state directory, the one way in.
 * @throws {CliError} `STATE_MISSING`; {ClientError} `GATEWAY_UNREACHABLE`, `PERMISSION_DENIED`
 */
export async function connectOperator(context: Context, options: CommonOptions): Promise<GatewayClient> {
  const { connect, defaultStateDirectory } = await import("@quaymesh/gateway/client");
  const state = await requireState(options.state ?? defaultStateDirectory(context.terminal.streams.env), "gateway");
  return connect({ state, signal: context.signal });
}

/** Where a short id such as `01JD…8F` from a table begins and ends. */
const SHORT = /^(?<head>[0-9A-Za-z]+)(?:…|\.\.\.)(?<tail>[0-9A-Za-z]+)$/u;

/**
 * The id that `text` stands for: a short id as tables print it is looked up, anything else is left to the gateway.
 * @param ids of what there is, asked for only when needed
 * @throws {CliError} `NOT_FOUND`
 */
export async function expandId(text: string, ids: () => Promise<readonly string[]>): Promise<string> {
  const parts = SHORT.exec(text)?.groups;
  if (parts === undefined) return text;
  const head = (parts["head"] ?? "").toUpperCase();
  const tail = (parts["tail"] ?? "").toUpperCase();
  const found = (await ids()).filter((id) => id.startsWith(head) && id.endsWith(tail));
  if (found.length === 1 && found[0] !== undefined) return found[0];
  throw new CliError("NOT_FOUND", `${found.length === 0 ? "nothing" : "more than one thing"} has the id ${text}`, {
    hint: "Give the whole id, as --json prints it.",
  });
}
