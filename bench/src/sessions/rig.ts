import { OURS, type Budget, type Rig, type RigOptions, type Sample } from "../suite.ts";
import type { BenchCredentials } from "../transport/credentials.ts";
import { Crew } from "./crew.ts";
import { enrolDevices, type Enrolled } from "./enrol.ts";
import { figureOf } from "./figures.ts";
import { climb, rungsOf, sharesOf, type Rung } from "./ladder.ts";
import { sessionsWorkOf, type SessionsWork } from "./rows.ts";

/** Sessions of one client process: each has a descriptor, and ours a socket of its own. */
const SESSIONS_PER_CLIENT = 5000;
/** Requests are sent for so much of the idle time, after it. */
const TOUCHED_SHARE = 1 / 20;
/** Our side of the `gateway-` rows. */
const GATEWAY = "gateway";

/**
 * Climbs a ladder once for each system, when a first row asks for one of its figures; the other rows read off it. Only one system is up at a time: thousands of idle sessions of
 * another would be anything but idle.
 */
export class SessionsRig implements Rig {
  readonly #credentials: BenchCredentials;
  readonly #options: RigOptions;
  readonly #ladders = new Map<string, Promise<readonly Rung[]>>();

  constructor(credentials: BenchCredentials, options: RigOptions) {
    this.#credentials = credentials;
    this.#options = options;
  }

  async measure(name: string, system: string, budget: Budget): Promise<Sample> {
    const work = sessionsWorkOf(name);
    const climbed = climberOf(work, system);
    let ladder = this.#ladders.get(climbed);
    // Whoever failed has failed for all rows: a ladder takes minutes.
    if (ladder === undefined) this.#ladders.set(climbed, (ladder = this.#climb(climbed, budget)));
    return figureOf(work, await ladder);
  }

  async #climb(system: string, { warmupMs, measureMs }: Budget): Promise<readonly Rung[]> {
    const { settings, profileDir, note, signal } = this.#options;
    const sessions = settings["sessions"];
    if (sessions === undefined) throw new RangeError("how many sessions?");
    const clients = Math.ceil(sessions / SESSIONS_PER_CLIENT);
    const shares = sharesOf(sessions, clients);
    await using resources = new AsyncDisposableStack();
    let enrolled: Enrolled | null = null;
    if (system === GATEWAY) {
      note(`enrolling ${String(sessions)} devices`);
      enrolled = resources.use(await enrolDevices(sessions, signal));
    }
    const credentials = this.#credentials;
    const crew = resources.use(await Crew.start({ system, credentials, enrolled, shares, profileDir, signal }));
    return await climb(crew, {
      rungs: rungsOf(sessions),
      clients,
      idleMs: measureMs,
      touchMs: system === GATEWAY ? 0 : measureMs * TOUCHED_SHARE,
      settleMs: warmupMs,
      note: (text) => note(`${system}: ${text}`),
      signal,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A ladder owns its processes, and the runner waits for it.
    await Promise.allSettled(this.#ladders.values());
  }
}

function climberOf(work: SessionsWork, system: string): string {
  return system === OURS && work.startsWith(`${GATEWAY}-`) ? GATEWAY : system;
}
