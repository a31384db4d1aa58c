/** Whether well-behaved sessions are answered as promptly as one whose gateway nobody attacks: it shares the machine with the others, so what slows it is the machine. */
import { type Device, Rig } from "../../floods/rig/rig.ts";
import { type OpenSession, openSession } from "../../floods/rig/session.ts";

/** A few lost datagrams; the unattacked session loses none. */
const LATE_MS = 1000;
/** Many times what a machine does that is merely busy: the unattacked session is given up, and the others are judged by this. */
const GIVE_UP_MS = 20_000;
/** An attacked gateway has more to do, and gets no more of the machine for it. */
const SHARE = 3;

/** A session that has a name for reports. */
export interface NamedSession {
  readonly name: string;
  readonly session: OpenSession;
}

/** What came of one question to all. Times in milliseconds. */
export interface Answers {
  readonly slowestMs: number;
  /** One line for each session that was disturbed. */
  readonly disturbed: readonly string[];
}

/** A session with a gateway of its own that nobody attacks, in its own process. */
export class Control implements AsyncDisposable {
  readonly #rig: Rig;
  readonly #session: OpenSession;

  private constructor(rig: Rig, session: OpenSession) {
    this.#rig = rig;
    this.#session = session;
  }

  /** Start a gateway, pair, connect. */
  static async open(): Promise<Control> {
    const rig = await Rig.open();
    try {
      const device: Device = await rig.pair("control");
      return new Control(rig, await openSession(rig.transport, rig, device));
    } catch (error) {
      await rig[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Ask all of them, and the unattacked one, at the same time. Never rejects. */
  async askWith(sessions: readonly NamedSession[]): Promise<Answers> {
    const startedAt = performance.now();
    const asked = sessions.map(async ({ name, session }) => {
      const failure = await session.health().then(
        () => undefined,
        (error: unknown) => (error instanceof Error ? error.message : String(error)),
      );
      return { name, failure, ms: performance.now() - startedAt };
    });
    await within(this.#session.health(), GIVE_UP_MS);
    const quietMs = performance.now() - startedAt;
    const allowedMs = LATE_MS + SHARE * quietMs;
    const disturbed: string[] = [];
    let slowestMs = 0;
    for (const [index, answering] of asked.entries()) {
      const answer = await within(answering, allowedMs - (performance.now() - startedAt));
      const name = sessions[index]?.name ?? "";
      slowestMs = Math.max(slowestMs, answer?.ms ?? performance.now() - startedAt);
      if (answer?.failure !== undefined) disturbed.push(`${name}: ${answer.failure}`);
      else if (answer === undefined || answer.ms > allowedMs)
        disturbed.push(
          `${name}: no answer within ${allowedMs.toFixed(0)} ms, where an unattacked one took ${quietMs.toFixed(0)}`,
        );
    }
    return { slowestMs, disturbed };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session[Symbol.asyncDispose]();
    await this.#rig[Symbol.asyncDispose]();
  }
}

/** What `promise` fulfils with; `undefined` where it rejects, or has not settled in time. What has settled already is always in time. */
async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  const timer = Promise.withResolvers<undefined>();
  const timeout = setTimeout(timer.resolve, Math.max(0, ms), undefined);
  try {
    return await Promise.race([promise.catch(() => undefined), timer.promise]);
  } finally {
    clearTimeout(timeout);
  }
}
