import { describeSeeds } from "./describe-seeds.ts";

describeSeeds("events", { from: 1, seeds: 1000 });
