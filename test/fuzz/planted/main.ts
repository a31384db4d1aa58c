/** The fuzzers' command with planted bugs as its targets. */
import { fuzzCommand } from "../command.ts";
import { Rig } from "../../floods/rig/rig.ts";
import { datagramsTarget } from "../datagrams/target.ts";
import { pureTarget } from "../pure.ts";

/** Short: these hangs are certain. */
const HUNG_MS = 2000;
const names = ["throws", "dawdles", "hangs", "hoards", "hides"];

const gatewayBugs = ["dies", "blocks", "goes-deaf", "stalls"];
const child = new URL("gateway-child.ts", import.meta.url);

const openWith = (bug: string): Promise<Rig> =>
  // What a planted bug must hit comes through node:dgram.
  Rig.open({ child, env: { QUAYMESH_PLANTED: bug }, transport: { systemCalls: "plain" } });

process.exitCode = await fuzzCommand(process.argv.slice(2), [
  ...names.map((name) => pureTarget(name, "planted", new URL(`${name}.ts`, import.meta.url), HUNG_MS)),
  ...gatewayBugs.map((name) => datagramsTarget(name, () => openWith(name))),
]);
