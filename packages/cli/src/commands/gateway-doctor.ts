import { Option, type Command } from "commander";
import { parseListen, type ListenSpec } from "../address.ts";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { examine } from "../doctor/examine.ts";
import { addSealingOptions, sealingSource, type SealingFlags } from "../sealing.ts";

interface Options extends CommonOptions, SealingFlags {
  readonly listen?: readonly ListenSpec[];
}

/** `quaymesh gateway doctor` */
export function gatewayDoctorCommand(context: Context): Command {
  const command = makeCommand("doctor", {
    summary: "find what is wrong with the gateway",
    description:
      "Look at the gateway's state, keys, store, disk, certificates and clock, its ports and addresses, what the kernel gives it, and whom it refused lately and why. " +
      "Works beside a running gateway, through its admin socket, and on the disk of one that does not run. Says what to do about each fault, and changes nothing. The exit code is that of the worst finding.",
    examples: [
      ["quaymesh gateway doctor", "of the gateway in the default state directory"],
      ["quaymesh gateway doctor --listen 192.0.2.10:7420", "of one that does not run, and is to listen there"],
      ["quaymesh gateway doctor --json | jq .verdict", "for programs"],
    ],
    exits: [3, 4, 6, 8, 19, 30, 31, 32, 35, 36],
    state: "gateway",
  });
  return addSealingOptions(command)
    .addOption(
      new Option(
        "--listen <address>",
        "where a gateway that does not run is to listen, may be repeated (default: 0.0.0.0:7420 and :7421)",
      ).argParser(parseListen),
    )
    .action((options: Options) => run(context, options));
}

async function run(context: Context, options: Options): Promise<void> {
  const { defaultStateDirectory, examineGateway } = await import("@quaymesh/gateway");
  const { probePath } = await import("@quaymesh/transport-quic");
  const { terminal, signal } = context;
  const state = options.state ?? defaultStateDirectory(terminal.streams.env);
  const listen = options.listen?.flatMap((each) => ("host" in each ? [each] : []));
  const isSealingNamed = options.sealingKey !== undefined || options.passphraseFile !== undefined;
  // What cannot be read of a state is for the checks to say.
  const sealing = await sealingSource(context, options, state).catch((cause: unknown) =>
    isSealingNamed ? Promise.reject(cause) : {},
  );
  const named = options.state === undefined ? {} : { named: { state, whose: "gateway" as const } };
  await examine(terminal, { json: options.json, ...named }, (onFinding) =>
    examineGateway({ state, sealing, probe: probePath, ...(listen && { listen }), onFinding, signal }),
  );
}
