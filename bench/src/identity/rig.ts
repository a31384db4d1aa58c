import { connect, type GatewayClient } from "@quaymesh/gateway/client";
import type { Transport } from "@quaymesh/protocol";
import { createMemoryNetwork } from "@quaymesh/protocol/memory";
import { createQuicTransport } from "@quaymesh/transport-quic";
import { Crew } from "../sessions/crew.ts";
import { readDevices } from "../sessions/devices.ts";
import { enrolDevices, type Enrolled } from "../sessions/enrol.ts";
import { quantile } from "../stats.ts";
import type { Budget, Rig, RigOptions, Sample } from "../suite.ts";
import { makeCredentials } from "../transport/credentials.ts";
import { hold, IdentityGateway, peerOfPem } from "./gateway.ts";
import { pairOnce } from "./pair.ts";
import { holdEach, revokeEach, type HoldDevice, type Revoked } from "./revocations.ts";
import { identityWorkOf } from "./rows.ts";

/** Handshakes under way at once while the others' sessions are opened. */
const AT_ONCE = 32;
/** Revocations before those that count. */
const WARM_UP = 20;

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
        return revokeSample(await this.#inOneProcess());
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
    return (this.#overQuic ??= this.#apart());
  }

  /** The gateway in a process of its own, as always, and the devices that stay in another; here are the operator and the devices that are revoked, on one clock. */
  async #apart(): Promise<Revoked> {
    const { note, profileDir, signal } = this.#options;
    const { sessions } = this.#counts();
    await using resources = new AsyncDisposableStack();
    const enrolled = resources.use(await this.#enrol());
    const credentials = await makeCredentials();
    const crew = await Crew.start({ system: "gateway", credentials, enrolled, shares: [sessions], profileDir, signal });
    resources.use(crew);
    note(`opening ${String(sessions)} sessions`);
    await crew.hold([0], [sessions], AT_ONCE);
    const client = resources.use(await connect({ state: enrolled.state }));
    const { meshAddresses } = await client.status();
    return await this.#revoke(client, { transport: createQuicTransport(), port: portOf(meshAddresses), enrolled });
  }

  /** All of it in this process, over the memory network. */
  async #inOneProcess(): Promise<Revoked> {
    const { note, signal } = this.#options;
    const { sessions } = this.#counts();
    const transport = createMemoryNetwork({ peerOf: peerOfPem });
    await using resources = new AsyncDisposableStack();
    const enrolled = resources.use(await this.#enrol());
    const { client, port } = resources.use(await IdentityGateway.open(transport, enrolled.state));
    const mesh = await readDevices(enrolled.devicesFile);
    note(`opening ${String(sessions)} sessions`);
    const others = mesh.devices.slice(0, sessions);
    await holdEach(others, (device) => hold(transport, port, mesh, device), { held: resources, signal });
    return await this.#revoke(client, { transport, port, enrolled });
  }

  /** Hold sessions of the last devices, and revoke them. */
  async #revoke(
    client: GatewayClient,
    where: { readonly transport: Transport; readonly port: number; readonly enrolled: Enrolled },
  ): Promise<Revoked> {
    const { signal } = this.#options;
    const { sessions, times } = this.#counts();
    const mesh = await readDevices(where.enrolled.devicesFile);
    const holdDevice: HoldDevice = (device) => hold(where.transport, where.port, mesh, device);
    await using held = new AsyncDisposableStack();
    const revoked = await holdEach(mesh.devices.slice(sessions), holdDevice, { held, signal });
    const before = (await client.status()).online;
    if (before !== sessions + WARM_UP + times) throw new Error(`${String(before)} sessions are up`);
    const taken = await revokeEach(revoked, { client, hold: holdDevice, warmUp: WARM_UP, signal });
    const { online } = await client.status();
    if (online !== sessions) throw new Error(`${String(online)} sessions are left, not ${String(sessions)}`);
    return taken;
  }

  #counts(): { readonly sessions: number; readonly times: number } {
    const { sessions = 0, times = 0 } = this.#options.settings;
    return { sessions, times };
  }

  async #enrol(): Promise<Enrolled> {
    const { note, signal } = this.#options;
    const { sessions, times } = this.#counts();
    const count = sessions + WARM_UP + times;
    note(`enrolling ${String(count)} devices`);
    return await enrolDevices(count, signal);
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

function portOf(addresses: readonly string[]): number {
  return Number(addresses[0]?.split(":").at(-1));
}

function revokeSample({ firstMs, closedMs, receiptMs }: Revoked): Sample {
  return {
    value: quantile(closedMs, 0.99),
    extra: {
      "p50 ms": quantile(closedMs, 0.5),
      "first ms": firstMs,
      "receipt p99 ms": quantile(receiptMs, 0.99),
    },
  };
}
