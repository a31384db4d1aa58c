import { churn } from "./churn/suite.ts";
import { events } from "./events/suite.ts";
import { identity } from "./identity/suite.ts";
import { sessions } from "./sessions/suite.ts";
import type { Suite } from "./suite.ts";
import { transport } from "./transport/suite.ts";

/** Every suite `npm run bench` knows. */
export const SUITES: readonly Suite[] = [transport, events, sessions, churn, identity];
