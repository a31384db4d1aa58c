import { Command, type Option } from "commander";
import { makeGroup } from "./command.ts";
import { deviceListCommand } from "./commands/device-list.ts";
import { deviceRevokeCommand } from "./commands/device-revoke.ts";
import { deviceRotateCommand } from "./commands/device-rotate.ts";
import { deviceUnfreezeCommand } from "./commands/device-unfreeze.ts";
import { deviceShowCommand } from "./commands/device-show.ts";
import { eventsQuarantineCommand } from "./commands/events-quarantine.ts";
import { eventsSubscribeCommand } from "./commands/events-subscribe.ts";
import { eventsSubscriptionsCommand, eventsUnsubscribeCommand } from "./commands/events-subscriptions.ts";
import { eventsTailCommand } from "./commands/events-tail.ts";
import { gatewayBackupCommand } from "./commands/gateway-backup.ts";
import { gatewayResealCommand } from "./commands/gateway-reseal.ts";
import { gatewayDoctorCommand } from "./commands/gateway-doctor.ts";
import { gatewayMoveCommand } from "./commands/gateway-move.ts";
import { gatewayRootExportCommand } from "./commands/gateway-root-export.ts";
import { gatewayRootRenewCommand } from "./commands/gateway-root-renew.ts";
import { gatewayRootRotateCommand } from "./commands/gateway-root-rotate.ts";
import { gatewayRootShowCommand } from "./commands/gateway-root-show.ts";
import { gatewayRestoreCommand } from "./commands/gateway-restore.ts";
import { gatewayRunCommand } from "./commands/gateway-run.ts";
import { gatewayStatsCommand } from "./commands/gateway-stats.ts";
import { gatewayStatusCommand } from "./commands/gateway-status.ts";
import { nodeDoctorCommand } from "./commands/node-doctor.ts";
import { nodeJoinCommand } from "./commands/node-join.ts";
import { nodeLeaveCommand } from "./commands/node-leave.ts";
import { nodeRunCommand } from "./commands/node-run.ts";
import { nodeStatusCommand } from "./commands/node-status.ts";
import { pairCommand } from "./commands/pair.ts";
import { policyCheckCommand, policySetCommand } from "./commands/policy-set.ts";
import { policyShowCommand } from "./commands/policy-show.ts";
import { taskCancelCommand } from "./commands/task-cancel.ts";
import { taskListCommand } from "./commands/task-list.ts";
import { taskRunCommand } from "./commands/task-run.ts";
import { taskShowCommand } from "./commands/task-show.ts";
import type { Context } from "./context.ts";
import { VERSION } from "./version.ts";

const MAX_HELP_WIDTH = 80;

/** The whole command tree. Parsing runs the command it names; errors are thrown, nothing exits the process. */
export function buildProgram(context: Context): Command {
  const program = new Command("quaymesh")
    .description("Tie machines to a gateway: pair by QR code or PIN, offload tasks, follow events, revoke at once.")
    .version(VERSION, "-V, --version", "print the version")
    .addCommand(
      makeGroup("gateway", "the daemon", [
        gatewayRunCommand(context),
        gatewayStatusCommand(context),
        gatewayStatsCommand(context),
        gatewayDoctorCommand(context),
        gatewayBackupCommand(context),
        gatewayRestoreCommand(context),
        gatewayResealCommand(context),
        makeGroup("root", "the mesh's root, which every device trusts", [
          gatewayRootShowCommand(context),
          gatewayRootExportCommand(context),
          gatewayRootRenewCommand(context),
          gatewayRootRotateCommand(context),
        ]),
        gatewayMoveCommand(context),
      ]),
    )
    .addCommand(pairCommand(context))
    .addCommand(
      makeGroup("device", "paired devices", [
        deviceListCommand(context),
        deviceShowCommand(context),
        deviceRotateCommand(context),
        deviceUnfreezeCommand(context),
        deviceRevokeCommand(context),
      ]),
    )
    .addCommand(
      makeGroup("node", "this machine as a node", [
        nodeJoinCommand(context),
        nodeRunCommand(context),
        nodeStatusCommand(context),
        nodeDoctorCommand(context),
        nodeLeaveCommand(context),
      ]),
    )
    .addCommand(
      makeGroup("task", "offloaded work", [
        taskRunCommand(context),
        taskListCommand(context),
        taskShowCommand(context),
        taskCancelCommand(context),
      ]),
    )
    .addCommand(
      makeGroup("events", "the event log", [
        eventsTailCommand(context),
        eventsQuarantineCommand(context),
        eventsSubscribeCommand(context),
        eventsSubscriptionsCommand(context),
        eventsUnsubscribeCommand(context),
      ]),
    )
    .addCommand(
      makeGroup("policy", "who may read what of the event log", [
        policyShowCommand(context),
        policySetCommand(context),
        policyCheckCommand(context),
      ]),
    )
    .helpCommand(false)
    .addHelpText("after", `\n${FIRST_STEPS}`);
  prepare(program, context);
  return program;
}

const FIRST_STEPS = `First steps:
  quaymesh gateway run          on the machine that is to be the gateway
  quaymesh pair                 there too: shows a QR code and a link
  quaymesh node join            on each machine that is to be a node: asks for
                                the link, then
  quaymesh node run --allow-exec /usr/bin/uptime
  quaymesh task run exec --input '{"command":"uptime"}'

Exit codes: 0 done, 1 failed, 2 usage, 3 not reachable, 4 not permitted,
5 not found, 6 full, 10-19 pairing, 20-29 tasks, 30-39 state.`;

/** Settings commander does not hand down to commands made elsewhere. */
function prepare(command: Command, context: Context): void {
  const { streams, columns } = context.terminal;
  const width = Math.min(columns, MAX_HELP_WIDTH);
  command
    .exitOverride()
    // So that an option belongs to the command it follows: pair and pair list both take --json.
    .enablePositionalOptions()
    .configureHelp({ optionDescription: describe, subcommandTerm: (inner) => inner.name() })
    .configureOutput({
      writeOut: (text) => void streams.stdout.write(text),
      // Usage errors are told of once, by the one place that tells of errors.
      writeErr: () => {},
      getOutHelpWidth: () => width,
      getErrHelpWidth: () => width,
    })
    .helpOption("-h, --help", "show this");
  for (const inner of command.commands) prepare(inner, context);
}

/** A default is worth showing only where it says something. */
function describe(option: Option): string {
  const { description, defaultValue, defaultValueDescription } = option;
  if (defaultValue === undefined || typeof defaultValue === "boolean" || defaultValue === "") return description;
  return `${description} (default: ${defaultValueDescription ?? String(defaultValue)})`;
}
