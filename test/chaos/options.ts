import { oneOf, parseCommandLine, wholeNumber } from "../command-line.ts";
import { CONTROLS, type ControlName } from "./controls.ts";

/** What the command line asked for. */
export interface ChaosOptions {
  readonly cycles: number;
  readonly seed: number;
  readonly nodes: number;
  readonly json: boolean;
  readonly control: ControlName | undefined;
}

const DEFAULT_CYCLES = 50;
const DEFAULT_NODES = 3;
const MAX_NODES = 16;

/** Read the command line; `null` when it asks for help. @param randomSeed where none is given @throws {UsageError} */
export function parseOptions(argv: readonly string[], randomSeed: number): ChaosOptions | null {
  const values = parsed(argv);
  if (values.help) return null;
  return {
    cycles: wholeNumber("--cycles", values.cycles, { usual: DEFAULT_CYCLES, least: 1 }),
    seed: wholeNumber("--seed", values.seed, { usual: randomSeed }),
    nodes: wholeNumber("--nodes", values.nodes, { usual: DEFAULT_NODES, least: 1, most: MAX_NODES }),
    json: values.json,
    control: values.control === undefined ? undefined : oneOf("control", values.control, CONTROLS),
  };
}

/** What `--help` prints. */
export function usage(): string {
  const controls = Object.entries(CONTROLS).map(([name, { about }]) => `  ${name.padEnd(23)}${about.slice(0, 56)}`);
  return `npm run chaos -- [options]

Kills and stops real gateways, nodes and readers under load, fills their disks,
and compares the log with what each node was promised.

  --cycles N      how many (${String(DEFAULT_CYCLES)}); one takes one to three seconds
  --seed S        what is done to whom and when; without it another each time
  --nodes N       processes that publish (${String(DEFAULT_NODES)})
  --control NAME  break the product on purpose: this has to find it
  --json          a line per cycle, and one at the end

Controls
${controls.join("\n")}

Exit codes: 0 all came right; 1 something went wrong; 2 usage.`;
}

function parsed(argv: readonly string[]) {
  return parseCommandLine({
    args: [...argv],
    options: {
      cycles: { type: "string" },
      seed: { type: "string" },
      nodes: { type: "string" },
      control: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  }).values;
}
