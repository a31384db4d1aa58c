import type { Plan, ScenarioName } from "../plan.ts";
import type { Random } from "../random.ts";
import type { Broken } from "../broken.ts";
import type { Stage } from "../stage.ts";

/** A simulation that can be run. */
export interface Running {
  readonly stage: Stage;
  /** What has to be there before the first step. */
  prepare?(): Promise<void>;
  /** After every step. @throws {Violation} */
  check(): void;
  /** Whether all has come right. */
  isDone(): boolean;
  /** What is still wrong, for people. */
  describeRest(): string;
}

/** A part of the product under test, and what is done to it. */
export interface Scenario {
  readonly name: ScenarioName;
  readonly about: string;
  /** What happens in the simulation of this seed. */
  plan(seed: number, random: Random): Plan;
  build(plan: Plan, broken: Broken): Running;
}
