import { pathToFileURL } from "node:url";
import { oneOf, parseCommandLine, UsageError, wholeNumber } from "../command-line.ts";
import { CONTROLS } from "./controls.ts";
import { EXAMPLES } from "./examples.ts";
import type { ScenarioName } from "./plan.ts";
import { SCENARIOS } from "./scenarios/index.ts";

/** What the command line asked for. */
export interface SimulateOptions {
  readonly scenarios: readonly ScenarioName[];
  readonly seeds: number;
  readonly from: number;
  readonly json: boolean;
  readonly keep: boolean;
  readonly examples: URL;
  readonly control: keyof typeof CONTROLS | undefined;
}

const DEFAULT_SEEDS = 1000;

/** Read the command line; `null` when it asks for help. @throws {UsageError} */
export function parseOptions(argv: readonly string[]): SimulateOptions | null {
  const values = parsed(argv);
  if (values.help) return null;
  const control = values.control === undefined ? undefined : oneOf("control", values.control, CONTROLS);
  const named = values.scenario === undefined ? undefined : oneOf("scenario", values.scenario, SCENARIOS);
  const implied: ScenarioName | undefined = control === undefined ? undefined : CONTROLS[control].scenario;
  if (named !== undefined && implied !== undefined && named !== implied) {
    throw new UsageError(`the control ${String(values.control)} belongs to the scenario ${implied}`);
  }
  const one = named ?? implied;
  return {
    scenarios: one === undefined ? (Object.keys(SCENARIOS) as ScenarioName[]) : [one],
    seeds: wholeNumber("--seeds", values.seeds, { usual: DEFAULT_SEEDS }),
    from: wholeNumber("--from", values.from, { usual: 1 }),
    json: values.json,
    keep: !values["dry-run"] && control === undefined,
    examples: values.examples === undefined ? EXAMPLES : pathToFileURL(`${values.examples}/`),
    control,
  };
}

/** What `--help` prints. */
export function usage(): string {
  const rows = (named: Readonly<Record<string, { readonly about: string }>>): string =>
    Object.entries(named)
      .map(([name, { about }]) => `  ${name.padEnd(32)}${about.length > 46 ? `${about.slice(0, 45)}…` : about}`)
      .join("\n");
  return `npm run simulate -- [options]

Runs gateways and nodes on virtual time, with everything failing around them.
Kept examples come first; a seed that fails is shrunk and kept as one.

  --seeds N          how many (${String(DEFAULT_SEEDS)})   --from S  the first (1)
  --scenario NAME    only this one; without it all
  --control NAME     break the product on purpose: this has to find it
  --examples DIR     other examples
  --dry-run          keep nothing                  --json  a line per scenario

Scenarios
${rows(SCENARIOS)}
Controls
${rows(CONTROLS)}

Exit codes: 0 all came right; 1 something went wrong; 2 usage.`;
}

function parsed(argv: readonly string[]) {
  return parseCommandLine({
    args: [...argv],
    options: {
      seeds: { type: "string" },
      from: { type: "string" },
      scenario: { type: "string" },
      control: { type: "string" },
      examples: { type: "string" },
      json: { type: "boolean", default: false },
      "dry-run": { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  }).values;
}
