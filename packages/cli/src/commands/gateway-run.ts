import type { Gateway } from "@quaymesh/gateway";
import type { SocketAddress } from "@quaymesh/protocol";
import { Option, type Command } from "commander";
import { formatAddress, parseAddress, parseListen, type ListenSpec } from "../address.ts";
import { list, makeCommand, wholeNumber } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { gatewayLogger, LOG_LEVELS, type LogLevel } from "../gateway-logger.ts";
import { shareSockets } from "../inherited.ts";
import { datagramOption, openTransport, validationOption, traceOption, type TransportFlags } from "../quic.ts";
import { withGatewayHints } from "../gateway-hints.ts";
import { addSealingOptions, sealingSource, type SealingFlags } from "../sealing.ts";
import { addRetentionOptions, retentionOf, type RetentionFlags } from "../retention-options.ts";
import type { Terminal } from "../ui/terminal.ts";

interface Options extends CommonOptions, TransportFlags, SealingFlags, RetentionFlags {
  readonly listen?: readonly ListenSpec[];
  readonly pairingListen?: readonly ListenSpec[];
  readonly advertise?: readonly string[];
  readonly mesh?: string;
  readonly door?: "window" | "always";
  readonly maxConnections?: number;
  readonly metrics?: SocketAddress;
  readonly announce?: string | true;
  readonly log: LogLevel;
}

/** Sockets are bounded by memory, not by this; it only catches a slip of the finger. */
const MAX_CONNECTIONS = 1_000_000;

/** `quaymesh gateway run` */
export function gatewayRunCommand(context: Context): Command {
  const command = makeCommand("run", {
    summary: "run the gateway in the foreground",
    description:
      "Run the gateway until Ctrl-C or SIGTERM. The first start makes the mesh: its authority, sealed, and its store. " +
      "Nodes dial the mesh endpoint (UDP); operators use the admin socket in the state directory. A stop is polite: nodes are told when to come back.",
    examples: [
      ["quaymesh gateway run", "in the default state directory, on UDP port 7420"],
      [
        "quaymesh gateway run --state ./gw --listen 127.0.0.1:0 --json",
        "somewhere free, with one JSON line once it is ready",
      ],
      ["quaymesh gateway run --listen 192.0.2.10:7420 --listen [2001:db8::1]:7420", "on these addresses alone"],
    ],
    exits: [4, 30, 31, 32, 33, 34, 35, 36, 37],
    state: "gateway",
  })
    .addOption(
      new Option(
        "--listen <address>",
        "mesh endpoint: HOST:PORT, [IPV6]:PORT or fd:NAME; may be repeated (default: 0.0.0.0:7420)",
      ).argParser(parseListen),
    )
    .addOption(
      new Option(
        "--pairing-listen <address>",
        "pairing endpoint, the same way (default: same hosts, port 7421)",
      ).argParser(parseListen),
    )
    .addOption(
      new Option(
        "--door <when>",
        "pairing endpoint open: while a window is, or always, so that devices that slept past their certificates come back by themselves (default: window)",
      ).choices(["window", "always"]),
    )
    .addOption(
      new Option("--advertise <hosts>", "hosts that nodes are told to dial (default: this machine's)").argParser(list),
    )
    .addOption(
      new Option(
        "--announce [address]",
        "answer whoever asks for gateways on this network (mDNS), on the interface with this address (default: the system's choice)",
      ),
    )
    .addOption(new Option("--mesh <name>", "name of the mesh, on its first start (default: quaymesh)"))
    .addOption(
      new Option("--max-connections <n>", "connections held at once (default: 256)").argParser(
        wholeNumber(1, MAX_CONNECTIONS),
      ),
    )
    .addOption(datagramOption())
    .addOption(traceOption())
    .addOption(validationOption())
    .addOption(
      new Option(
        "--metrics <address>",
        "also serve /metrics, /healthz and /readyz there, HOST:PORT, over plain HTTP and to anybody who asks",
      ).argParser(metricsAddress),
    )
    .addOption(new Option("--log <level>", "what to log on stderr").choices(LOG_LEVELS).default("warn"))
    .action((options: Options) => run(context, options));
  return addSealingOptions(addRetentionOptions(command));
}

// commander hands an earlier value as the second argument, which is not a default port.
function metricsAddress(text: string): SocketAddress {
  return parseAddress(text);
}

async function run(context: Context, options: Options): Promise<void> {
  const { defaultStateDirectory, Gateway } = await import("@quaymesh/gateway");
  const { terminal, signal } = context;
  const sockets = shareSockets(context.inherited(), {
    ...(options.listen && { listen: options.listen }),
    ...(options.pairingListen && { pairing: options.pairingListen }),
  });
  for (const { fd, name } of sockets.unused) {
    terminal.note(`socket fd ${fd} (${name}) was handed over and is not used: call it mesh, pair or admin`);
  }
  const state = options.state ?? defaultStateDirectory(terminal.streams.env);
  try {
    const source = await sealingSource(context, options, state);
    const transport = await openTransport(options);
    const logger = await gatewayLogger(terminal, options);
    await using gateway = await withGatewayHints(() =>
      Gateway.open({
        transport,
        pairing: {
          childModule: new URL(
            import.meta.url.endsWith(".ts") ? "../pairing-child.ts" : "../pairing-child.js",
            import.meta.url,
          ),
          ...(options.datagramBytes !== undefined && { childArguments: [String(options.datagramBytes)] }),
          ...(sockets.pairing && { listen: sockets.pairing }),
          ...(options.door && { door: options.door }),
        },
        ...(options.state !== undefined && { state: options.state }),
        ...(options.mesh !== undefined && { meshName: options.mesh }),
        ...(sockets.listen && { listen: sockets.listen }),
        ...(sockets.admin && { adminSocket: sockets.admin }),
        ...(options.metrics && { metrics: options.metrics }),
        ...(options.advertise && { advertise: options.advertise }),
        ...(options.maxConnections !== undefined && { transportLimits: { maxConnections: options.maxConnections } }),
        ...retentionOf(options),
        ...source,
        logger,
        signal,
      }),
    );
    await using _announced =
      options.announce === undefined ? undefined : await announceOn(options.announce, gateway, terminal);
    announce(terminal, gateway, options.json);
    await withGatewayHints(() => gateway.run({ signal }));
    if (!options.json) terminal.note("stopped; everything is committed");
  } catch (error) {
    // Being told to stop is how a gateway ends.
    if (signal.aborted && error === signal.reason) return;
    throw error;
  }
}

async function announceOn(on: string | true, gateway: Gateway, terminal: Terminal): Promise<AsyncDisposable> {
  const { announceGateway } = await import("../discovery/gateway.ts");
  let told = false;
  return announceGateway(gateway, on, ({ message }) => {
    // Each interface that takes no multicast says so, and once is enough.
    if (!told) terminal.note(`this gateway may not be found on the network: ${message}`);
    told = true;
  });
}

function announce(terminal: Terminal, gateway: Gateway, json: boolean): void {
  const { meshId, meshName, state, adminSocket, addresses, metricsAddress } = gateway;
  const metrics = metricsAddress === undefined ? undefined : `http://${formatAddress(metricsAddress)}/metrics`;
  if (json) {
    terminal.json({
      ready: true,
      meshId,
      meshName,
      state,
      adminSocket,
      addresses,
      ...(metrics !== undefined && { metrics }),
      pid: process.pid,
    });
    return;
  }
  terminal.done(`mesh "${meshName}" (${meshId})`);
  terminal.note(`  nodes dial     ${addresses.join(", ")}`);
  terminal.note(`  operators use  ${adminSocket}`);
  if (metrics !== undefined) terminal.note(`  metrics at     ${metrics}`);
  terminal.note(`  pair a device with  quaymesh pair   stop with Ctrl-C`);
}
