/** The command line of the races. */
import { oneOf, optionsOrExit, parseCommandLine, wholeNumber } from "../command-line.ts";
import { RACE_CONTROLS, type RaceControl } from "./controls.ts";
import { PHASES, race, RACES_PER_GATEWAY, type Phase, type Races } from "./race.ts";

const CLEAN = 0;
const FOUND = 1;
const DEFAULT_RACES = 10_000;

const HELP = `npm run races -- [options]

Revokes devices while they connect and publish: nothing of a device may be
accepted after its receipt. A seed gives everything that happens.

  --races N         how many (${String(DEFAULT_RACES)})      --from S  the first seed (1)
  --control NAME    break the product on purpose: this has to find it
  --json            one line

Controls
${Object.entries<RaceControl>(RACE_CONTROLS)
  .map(([name, { about }]) => `  ${name.padEnd(24)}${about}`)
  .join("\n")}

Exit codes: 0 nothing was accepted; 1 something was; 2 usage.`;

/** Run what `argv` asks for. @returns the exit code */
export async function racesCommand(argv: readonly string[]): Promise<number> {
  const options = optionsOrExit(
    () => parse(argv),
    () => HELP,
  );
  if (typeof options === "number") return options;
  const began = performance.now();
  const { races, from, broken } = options;
  const sum = await runRaces({ races, from, broken, onProgress: (done) => showProgress(done, races) });
  const seconds = (performance.now() - began) / 1000;
  if (process.stderr.isTTY) process.stderr.write("\r\u001B[K");
  process.stdout.write(options.json ? `${JSON.stringify({ from, seconds, ...sum })}\n` : describe(sum, from, seconds));
  return sum.faults.length > 0 ? FOUND : CLEAN;
}

/** Run races, a gateway for each hundred, until the first that went wrong. */
export async function runRaces(options: {
  readonly races: number;
  readonly from: number;
  readonly broken?: RaceControl["broken"] | undefined;
  readonly onProgress?: (done: number) => void;
}): Promise<Races> {
  let sum: Races | undefined;
  for (let seed = options.from; (sum?.races ?? 0) < options.races; seed++) {
    const count = Math.min(RACES_PER_GATEWAY, options.races - (sum?.races ?? 0));
    const one = await race(seed, count, options.broken);
    const faults = one.faults.map((fault) => `seed ${String(seed)}: ${fault}`);
    sum = added(sum, { ...one, faults });
    options.onProgress?.(sum.races);
    if (faults.length > 0) break;
  }
  if (sum === undefined) throw new RangeError("no races");
  return sum;
}

function added(sum: Races | undefined, one: Races): Races {
  if (sum === undefined) return one;
  const phases = Object.fromEntries(PHASES.map((phase) => [phase, sum.phases[phase] + one.phases[phase]]));
  return {
    races: sum.races + one.races,
    phases: phases as Record<Phase, number>,
    batches: sum.batches + one.batches,
    stored: sum.stored + one.stored,
    refused: sum.refused + one.refused,
    faults: [...sum.faults, ...one.faults],
  };
}

function describe({ races, phases, batches, stored, refused, faults }: Races, from: number, seconds: number): string {
  const where = PHASES.map((phase) => `${phase} ${String(phases[phase])}`).join(", ");
  return [
    `${String(races)} revocations raced, from seed ${String(from)}, in ${seconds.toFixed(1)} s`,
    `  devices were: ${where}`,
    `  ${String(batches)} batches sent, ${String(stored)} events stored, ${String(refused)} sessions ended or refused after the receipt`,
    ...(faults.length === 0 ? ["  ✓ nothing was accepted after a receipt"] : faults.map((fault) => `  ✗ ${fault}`)),
    "",
  ].join("\n");
}

function showProgress(done: number, races: number): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${String(done)} of ${String(races)}`);
}

function parse(argv: readonly string[]) {
  const { races, from, control, json, help } = parseCommandLine({
    args: [...argv],
    options: {
      races: { type: "string" },
      from: { type: "string" },
      control: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  }).values;
  if (help) return null;
  const broken = control === undefined ? undefined : RACE_CONTROLS[oneOf("control", control, RACE_CONTROLS)].broken;
  return {
    races: wholeNumber("--races", races, { usual: DEFAULT_RACES, least: 1 }),
    from: wholeNumber("--from", from, { usual: 1 }),
    json,
    broken,
  };
}
