import { describeSeeds } from "./describe-seeds.ts";

describeSeeds("sessions", { from: 1, seeds: 500 });
