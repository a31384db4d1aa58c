import type { Plan, ScenarioName } from "../plan.ts";
import { Random } from "../random.ts";
import { events } from "./events.ts";
import type { Scenario } from "./scenario.ts";
import { pairing } from "./pairing.ts";
import { sessions } from "./sessions.ts";
import { tasks } from "./tasks.ts";

/** Every scenario by name. */
export const SCENARIOS: Readonly<Record<ScenarioName, Scenario>> = { events, sessions, tasks, pairing };

/** What happens in the simulation of `seed`. */
export function planOf(scenario: ScenarioName, seed: number): Plan {
  return SCENARIOS[scenario].plan(seed, new Random(seed).fork(scenario));
}
