/** A gateway in its own process, its operator's client, and devices that paired with it. */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type GatewayClient } from "@quaymesh/gateway/client";
import { meshServerName, parseTicket } from "@quaymesh/identity";
import { join as joinMesh } from "@quaymesh/node";
import type { Credentials, DialOptions, ListenLimits, Transport } from "@quaymesh/protocol";
import { createQuicTransport, type QuicTransportOptions } from "@quaymesh/transport-quic";
import type { ChildSetup, Ready, Sample } from "./gateway-child.ts";

/** A device that paired. */
export interface Device {
  readonly id: string;
  /** Its state directory. */
  readonly state: string;
  readonly credentials: Credentials;
  /** What dialing the gateway as this device takes. */
  readonly dial: DialOptions;
}

/** Options of {@link Rig.open}. */
export interface RigOptions {
  readonly host?: string;
  readonly transport?: QuicTransportOptions;
  readonly limits?: Partial<ListenLimits>;
  /** Runs instead of the gateway's module; for gateways with a planted bug. */
  readonly child?: URL;
  /** What the child finds in its environment, besides ours. */
  readonly env?: Readonly<Record<string, string>>;
}

/** See the top of the file. */
export class Rig implements AsyncDisposable {
  readonly host: string;
  readonly port: number;
  readonly client: GatewayClient;
  readonly transport: Transport = createQuicTransport();
  readonly #child: ChildProcess;
  readonly #directory: string;
  readonly #meshId: string;

  private constructor(child: ChildProcess, host: string, ready: Ready, directory: string, client: GatewayClient) {
    this.#child = child;
    this.host = host;
    this.port = ready.port;
    this.#meshId = ready.meshId;
    this.#directory = directory;
    this.client = client;
  }

  /** Start the gateway. */
  static async open(options: RigOptions = {}): Promise<Rig> {
    const directory = await mkdtemp(join(tmpdir(), "quaymesh-rig-"));
    const host = options.host ?? "127.0.0.1";
    const state = join(directory, "gateway");
    const setup: ChildSetup = { state, host, transport: options.transport ?? {}, limits: options.limits ?? {} };
    const child = fork(options.child ?? new URL("gateway-child.ts", import.meta.url), [JSON.stringify(setup)], {
      env: { ...process.env, ...options.env },
      execArgv: ["--expose-gc", "-C", "@quaymesh/source"],
      // What a crash says must be seen.
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    const died = once(child, "exit").then(([code, signal]): never => {
      throw new Error(`the gateway ended: ${String(code ?? signal)}`);
    });
    died.catch(() => {});
    const [ready]: Ready[] = await Promise.race([once(child, "message"), died]);
    if (ready === undefined) throw new Error("the gateway said nothing");
    return new Rig(child, host, ready, directory, await connect({ state }));
  }

  /** Whether the gateway's process lives. */
  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** What the gateway says of itself, or `undefined` where it lives no more. @param question `look` leaves the garbage where it is */
  async sample(question: "collect" | "look" = "collect"): Promise<Sample | undefined> {
    if (!this.isAlive) return undefined;
    // Listeners must go with the question: many are asked.
    const done = new AbortController();
    const answer = once(this.#child, "message", { signal: done.signal });
    const exit = once(this.#child, "exit", { signal: done.signal }).then(() => [undefined]);
    for (const waiting of [answer, exit]) waiting.catch(() => {});
    this.#child.send(question);
    const [sample]: (Sample | undefined)[] = await Promise.race([answer, exit]);
    done.abort();
    return sample;
  }

  /** Pair one more device. */
  async pair(name: string): Promise<Device> {
    const state = join(this.#directory, name);
    const window = await this.client.pairing.open({ name });
    const ticket = parseTicket(window.link, { now: Date.now() });
    const joining = joinMesh({ state, transport: this.transport, invitation: { kind: "ticket", ticket } });
    joining.catch(() => {});
    for await (const { state: now, request } of this.client.pairing.watch(window.windowId)) {
      if (now === "pending") await this.client.pairing.approve(request?.requestId ?? "");
      if (now === "issued") break;
    }
    const { deviceId } = await joining;
    const identity: { chainPem: string; rootPem: string } = JSON.parse(
      await readFile(join(state, "identity.json"), "utf8"),
    );
    const keyPem = await readFile(join(state, "device.key"), "utf8");
    const credentials = { keyPem, chainPem: identity.chainPem };
    const trust = { kind: "anchored", anchorsPem: identity.rootPem } as const;
    const serverName = meshServerName(this.#meshId);
    return { id: deviceId, state, credentials, dial: { protocol: "quaymesh/1", serverName, credentials, trust } };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client[Symbol.asyncDispose]();
    if (this.isAlive) {
      const exit = once(this.#child, "exit");
      this.#child.disconnect();
      await exit;
    }
    await rm(this.#directory, { recursive: true, force: true });
  }
}
