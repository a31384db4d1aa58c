import type { Command } from "commander";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { examine } from "../doctor/examine.ts";
import { datagramOption, openTransport, type TransportFlags } from "../quic.ts";
import { defaultNodeState } from "../state.ts";

type Options = CommonOptions & Pick<TransportFlags, "datagramBytes">;

/** `quaymesh node doctor` */
export function nodeDoctorCommand(context: Context): Command {
  return makeCommand("doctor", {
    summary: "find what keeps this node from its gateway",
    description:
      "Look at this node's state, certificate and disk, then at the way to its gateway: names, UDP, datagram size, the gateway's identity, whether it lets this device in, and the two clocks. " +
      "Says what to do about each fault. Changes nothing, and takes no session over: it may run beside the node. The exit code is that of the worst finding.",
    examples: [
      ["quaymesh node doctor", "of the node in the default state directory"],
      ["quaymesh node doctor --json | jq '.findings[] | select(.verdict == \"failed\")'", "for programs"],
    ],
    exits: [3, 6, 8, 13, 16, 17, 19, 30, 31, 36],
    state: "node",
  })
    .addOption(datagramOption())
    .action((options: Options) => run(context, options));
}

async function run(context: Context, options: Options): Promise<void> {
  const { terminal, signal } = context;
  const { examineNode } = await import("@quaymesh/node");
  const { probePath } = await import("@quaymesh/transport-quic");
  const transport = await openTransport(options);
  const state = options.state ?? defaultNodeState(terminal.streams.env);
  const named = options.state === undefined ? {} : { named: { state, whose: "node" as const } };
  await examine(terminal, { json: options.json, ...named }, (onFinding) =>
    examineNode({
      state,
      transport,
      probe: probePath,
      ...(options.datagramBytes !== undefined && { datagramBytes: options.datagramBytes }),
      onFinding,
      signal,
    }),
  );
}
