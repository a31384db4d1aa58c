/** The fuzzers' command with planted bugs as its targets. */
import { fuzzCommand } from "../command.ts";
import { Rig } from "../../floods/rig/rig.ts";
import { datagramsTarget } from "../datagrams/target.ts";
import { pureTarget } from "../pure.ts";

/** Short where a hang is certain, and long where one would only be a busy machine. */
const HUNG_MS = { throws: 30_000, dawdles: 30_000, hangs: 2000, hoards: 30_000, hides: 30_000 };

const gatewayBugs = ["dies", "blocks", "goes-deaf", "stalls"];
const child = new URL("gateway-child.ts", import.meta.url);

const openWith = (bug: string): Promise<Rig> =>
  // What a planted bug must hit comes through node:dgram.
  Rig.open({ child, env: { QUAYMESH_PLANTED: bug }, transport: { systemCalls: "plain" } });

process.exitCode = await fuzzCommand(process.argv.slice(2), [
  ...Object.entries(HUNG_MS).map(([name, hungMs]) =>
    pureTarget(name, "planted", new URL(`${name}.ts`, import.meta.url), hungMs),
  ),
  ...gatewayBugs.map((name) => datagramsTarget(name, () => openWith(name))),
]);
