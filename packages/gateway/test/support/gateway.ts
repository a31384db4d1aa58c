import { createMemoryNetwork, type MemoryNetwork } from "@quaymesh/protocol/memory";
import type { GatewayCoreOptions, GatewayLimits } from "../../src/core-options.ts";
import { GatewayCore } from "../../src/core.ts";
import type { Clock } from "../../src/clock.ts";
import { systemClock } from "../../src/clock.ts";
import type { Logger } from "../../src/logger.ts";
import type { Store } from "../../src/store/port.ts";
import { newId } from "../../src/tasks/ids.ts";
import type { CertificateIssuer } from "../../src/trust.ts";
import { temporaryStore } from "../store/temporary-store.ts";
import { FakeNode, type FakeNodeOptions } from "./fake-node.ts";
import { FakeTrust } from "./fake-trust.ts";

/** A line the gateway logged. */
interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** What {@link testGateway} takes. */
export interface TestGatewayOptions {
  readonly clock?: Clock;
  readonly limits?: Partial<GatewayLimits>;
  readonly issuer?: CertificateIssuer;
  /** Stand between the core and its store. */
  readonly wrapStore?: (store: Store) => Store;
  readonly maxBytes?: number;
  readonly retention?: GatewayCoreOptions["retention"];
  readonly ingest?: GatewayCoreOptions["ingest"];
  readonly news?: GatewayCoreOptions["news"];
  /** Goes to the core's start. */
  readonly signal?: AbortSignal;
  /** Bytes of a stream that may wait for its reader; default the network's own. */
  readonly windowBytes?: number;
}

/** A gateway core on a memory network, with a SQLite store of its own. */
export async function testGateway(options: TestGatewayOptions = {}) {
  const under = await temporaryStore(options.maxBytes === undefined ? {} : { maxBytes: options.maxBytes });
  const { windowBytes } = options;
  const network: MemoryNetwork = createMemoryNetwork(windowBytes === undefined ? {} : { windowBytes });
  const lines: LogLine[] = [];
  const trust = new FakeTrust();
  const nodes = new Set<FakeNode>();
  let store = under.store;
  const openCore = () =>
    GatewayCore.open({
      store: options.wrapStore?.(store) ?? store,
      transport: network,
      credentials: { keyPem: "gateway key", chainPem: "gateway" },
      anchorsPem: "root",
      trust,
      issuer: options.issuer ?? { issueDeviceLeaf: () => Promise.reject(new Error("no issuer")) },
      address: { host: "127.0.0.1", port: 7420 },
      meshId: "meshmeshmeshmesh",
      clock: options.clock ?? systemClock,
      logger: collect(lines),
      ...(options.limits !== undefined && { limits: options.limits }),
      ...(options.retention !== undefined && { retention: options.retention }),
      ...(options.ingest !== undefined && { ingest: options.ingest }),
      ...(options.news !== undefined && { news: options.news }),
      ...(options.signal !== undefined && { signal: options.signal }),
    });
  const gateway = {
    core: await openCore(),
    /** Where the store's files are. */
    directory: under.directory,
    network,
    trust,
    lines,
    get store() {
      return store;
    },
    /** Enrol a device. @returns its id */
    async enroll(name: string, labels: readonly string[] = []): Promise<string> {
      const deviceId = newId(Date.now());
      const spkiSha256 = Buffer.from(deviceId.padEnd(32, ".")).toString("hex");
      const times = { notBefore: 0, notAfter: 4_000_000_000_000, issuedAt: 0 };
      const certificate = {
        serial: `serial-${deviceId}`,
        deviceId,
        spkiSha256,
        ...times,
        state: "active",
        chain: [],
      } as const;
      const now = Date.now();
      await gateway.core.devices.enroll({ deviceId, name, labels, purpose: "", platform: "", certificate, now });
      return deviceId;
    },
    /** Connect a node and wait for its welcome. */
    async connect(deviceId: string, nodeOptions: FakeNodeOptions = {}): Promise<FakeNode> {
      const node = await FakeNode.connect(network, gateway.core.address, deviceId, nodeOptions);
      nodes.add(node);
      return node;
    },
    /** Stop the core and start another one over the same store. */
    async restart(): Promise<void> {
      await gateway.core.close();
      store = await under.reopen();
      gateway.core = await openCore();
    },
    /** As {@link restart}, but nothing of the end reaches the store: what a crash leaves behind. */
    async crash(): Promise<void> {
      await store.close();
      await gateway.core.close();
      store = await under.reopen();
      gateway.core = await openCore();
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...nodes].map((node) => node.close()));
      await gateway.core.close();
      await under[Symbol.asyncDispose]();
    },
  };
  return gateway;
}

/** A {@link testGateway}. */
export type TestGateway = Awaited<ReturnType<typeof testGateway>>;

function collect(lines: LogLine[]): Logger {
  const at = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) => {
    lines.push({ level, message, fields });
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}
