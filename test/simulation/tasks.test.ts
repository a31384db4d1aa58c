import { describeSeeds } from "./describe-seeds.ts";

describeSeeds("tasks", { from: 1, seeds: 500 });
