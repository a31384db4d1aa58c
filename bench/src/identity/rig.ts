import type { Transport } from "@quaymesh/protocol";
import { createMemoryNetwork } from "@quaymesh/protocol/memory";
import { createQuicTransport } from "@quaymesh/transport-quic";
import { enrolDevices } from "../sessions/enrol.ts";
import { readDevices } from "../sessions/devices.ts";
import { quantile } from "../stats.ts";
import type { Budget, Rig, RigOptions, Sample } from "../suite.ts";
import { hold, IdentityGateway, peerOfPem } from "./gateway.ts";
import { pairOnce } from "./pair.ts";
import { identityWorkOf } from "./rows.ts";

/** Sessions opened at once. */
const AT_ONCE = 32;

interface Revoked {
  readonly closedMs: readonly number[];
  readonly receiptMs: readonly number[];
  readonly refusedMs: readonly number[];
}

/** Revokes devices beside others that stay; `refused` reads off the same run as `revoke`. */
export class IdentityRig implements Rig {
  readonly #options: RigOptions;
  #overQuic: Promise<Revoked> | undefined;

  constructor(options: RigOptions) {
    this.#options = options;
  }

  async measure(name: string, _system: string, _budget: Budget): Promise<Sample> {
    const work = identityWorkOf(name);
    switch (work) {
      case "revoke":
        return revokeSample(await this.#quic());
      case "revoke-core":
        return revokeSample(await this.#revoke(createMemoryNetwork({ peerOf: peerOfPem })));
      case "refused": {
        const { refusedMs } = await this.#quic();
        return { value: quantile(refusedMs, 0.5), extra: { "p99 ms": quantile(refusedMs, 0.99) } };
      }
      case "pair":
        return this.#pair();
      default:
        return work satisfies never;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled([this.#overQuic]);
  }

  #quic(): Promise<Revoked> {
    return (this.#overQuic ??= this.#revoke(createQuicTransport()));
  }

  async #revoke(transport: Transport): Promise<Revoked> {
    const { settings, note, signal } = this.#options;
    const [sessions = 0, times = 0] = [settings["sessions"], settings["times"]];
    await using resources = new AsyncDisposableStack();
    note(`enrolling ${String(sessions + times)} devices`);
    const enrolled = resources.use(await enrolDevices(sessions + times, signal));
    const gateway = resources.use(await IdentityGateway.open(transport, enrolled.state));
    const mesh = await readDevices(enrolled.devicesFile);
    note(`opening ${String(sessions + times)} sessions`);
    const held = [];
    for (let at = 0; at < mesh.devices.length; at += AT_ONCE) {
      signal.throwIfAborted();
      const some = mesh.devices.slice(at, at + AT_ONCE).map((device) => hold(transport, gateway.port, mesh, device));
      held.push(...(await Promise.all(some)));
    }
    for (const session of held) resources.use(session);
    const taken = { closedMs: [] as number[], receiptMs: [] as number[], refusedMs: [] as number[] };
    for (const session of held.slice(sessions)) {
      signal.throwIfAborted();
      const began = performance.now();
      const closed = session.closed.then(() => performance.now() - began);
      await gateway.client.devices.revoke(session.device.deviceId);
      taken.receiptMs.push(performance.now() - began);
      taken.closedMs.push(await closed);
      taken.refusedMs.push(await refusal(() => hold(transport, gateway.port, mesh, session.device)));
    }
    const { online } = await gateway.client.status();
    if (online !== sessions) throw new Error(`${String(online)} sessions are left, not ${String(sessions)}`);
    return taken;
  }

  async #pair(): Promise<Sample> {
    const { settings, signal } = this.#options;
    const transport = createQuicTransport();
    await using resources = new AsyncDisposableStack();
    const enrolled = resources.use(await enrolDevices(1, signal));
    const gateway = resources.use(await IdentityGateway.open(transport, enrolled.state));
    const took: number[] = [];
    for (let at = 0; at < (settings["pairings"] ?? 0); at++)
      took.push(await pairOnce(gateway.client, transport, signal));
    return { value: quantile(took, 0.5), extra: { "p99 ms": quantile(took, 0.99), "first ms": took[0] ?? Number.NaN } };
  }
}

function revokeSample({ closedMs, receiptMs }: Revoked): Sample {
  return {
    value: quantile(closedMs, 0.99),
    extra: { "p50 ms": quantile(closedMs, 0.5), "receipt p99 ms": quantile(receiptMs, 0.99) },
  };
}

/** How long it takes until a dial fails. @throws {Error} when it does not */
async function refusal(dial: () => Promise<AsyncDisposable>): Promise<number> {
  const began = performance.now();
  let session: AsyncDisposable;
  try {
    session = await dial();
  } catch {
    return performance.now() - began;
  }
  await session[Symbol.asyncDispose]();
  throw new Error("a revoked device came in");
}
