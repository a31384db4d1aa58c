/** Both pairing machines with shells that keep everything in memory, on one made-up clock and made-up chance. */
import { createHash } from "node:crypto";
import {
  createGatewayPairing,
  Secret,
  startNodePairing,
  stepGateway,
  stepNode,
  type AttemptEntropy,
  type CodeSecret,
  type CsrFinding,
  type GatewayPairing,
  type GatewayPairingEffect,
  type GatewayPairingInput,
  type NodeCode,
  type NodePairing,
  type NodePairingEffect,
  type NodePairingInput,
  type PairingLimits,
  type WindowSetup,
} from "@quaymesh/identity";
import type { PairHello, PairIssued, PairProve, PairToNode } from "@quaymesh/protocol";
import { DEVICE_ID, NOW } from "./support.ts";

export const MESH_ID = "abcdefghijklmnop";
export const ROOT = new TextEncoder().encode("the root, DER");
export const GATEWAY_KEY = bytesOf("gateway key", 32);

/** Bytes that depend on `label` alone. */
export function bytesOf(label: string, length: number): Uint8Array {
  return new Uint8Array(createHash("sha512").update(label).digest().subarray(0, length));
}

export function ticketCode(label = "ticket"): CodeSecret & NodeCode & { kind: "ticket" } {
  return { kind: "ticket", codeId: bytesOf(`id ${label}`, 8), secret: new Secret(bytesOf(label, 16)) };
}

/** A code that a node shows itself, as both sides have it. */
export function ownCode(keyName = "node key"): CodeSecret & NodeCode & { kind: "node" } {
  const { codeId, secret } = ticketCode(`shown by ${keyName}`);
  return { kind: "node", codeId, secret, spkiSha256: bytesOf(keyName, 32) };
}

export function pinCode(pin: string): CodeSecret & NodeCode & { kind: "pin" } {
  return { kind: "pin", pin: new Secret(pin) };
}

type Kind<E, K> = Extract<E, { kind: K }>;
type Bare<T> = T extends unknown ? Omit<T, "now"> : never;

/** The gateway. Effects that need an answer get it at once, unless they are held. */
export class GatewayRoom {
  state: GatewayPairing;
  now = NOW;
  readonly effects: GatewayPairingEffect[] = [];
  /** What each stream was sent. */
  readonly sent = new Map<string, PairToNode[]>();
  readonly failed = new Map<string, Kind<GatewayPairingEffect, "fail">>();
  readonly held = new Set<GatewayPairingEffect["kind"]>();
  inspect: (csr: Uint8Array) => CsrFinding;

  constructor(options: { limits?: Partial<PairingLimits>; failedAt?: { pin?: number[]; ticket?: number[] } } = {}) {
    this.state = createGatewayPairing({ meshId: MESH_ID, root: ROOT, ...options });
    this.inspect = (csr) => ({
      kind: "valid",
      spkiSha256: bytesOf(new TextDecoder().decode(csr).split("#")[0] ?? "", 32),
      enrolment: { kind: "none" },
    });
  }

  step(input: Bare<GatewayPairingInput>): GatewayPairingEffect[] {
    const { state, effects } = stepGateway(this.state, { ...input, now: this.now });
    this.state = state;
    this.effects.push(...effects);
    return [...effects, ...effects.flatMap((effect) => this.#perform(effect))];
  }

  open(
    code: CodeSecret | readonly CodeSecret[],
    options: Partial<Omit<WindowSetup, "codes" | "expiresAt">> & { ttlMs?: number } = {},
  ): GatewayPairingEffect[] {
    const { ttlMs = 300_000, ...given } = options;
    const codes = [code].flat();
    const setup = { windowId: "window", uses: 1, preapproved: false, ...given, codes, expiresAt: this.now + ttlMs };
    return this.step({ kind: "open", ...setup });
  }

  /** The first code of a window: how many wrong proofs it had, and who has it. */
  code(windowId = "window"): { failures: number; status: "open" | "claimed" | "proved" } | undefined {
    const window = this.state.windows.get(windowId);
    const [code] = window?.codes ?? [];
    if (window === undefined || code === undefined) return undefined;
    const status = window.requests.length > 0 ? "proved" : code.claims.length > 0 ? "claimed" : "open";
    return { failures: code.failures, status };
  }

  hello(attemptId: string, hello: PairHello, nodeKey: Uint8Array, source = "192.0.2.1"): GatewayPairingEffect[] {
    const peer = { source, nodeSpkiSha256: nodeKey, gatewaySpkiSha256: GATEWAY_KEY };
    return this.step({
      kind: "hello",
      attemptId,
      hello,
      peer,
      entropy: entropyOf(attemptId),
      deviceId: `device of ${attemptId}`,
    });
  }

  ofKind<K extends GatewayPairingEffect["kind"]>(kind: K): Kind<GatewayPairingEffect, K>[] {
    return this.effects.filter((effect): effect is Kind<GatewayPairingEffect, K> => effect.kind === kind);
  }

  #perform(effect: GatewayPairingEffect): GatewayPairingEffect[] {
    if (this.held.has(effect.kind)) return [];
    switch (effect.kind) {
      case "send":
        this.sent.set(effect.attemptId, [...(this.sent.get(effect.attemptId) ?? []), effect.message]);
        return [];
      case "fail":
        this.failed.set(effect.attemptId, effect);
        return [];
      case "persist":
        return this.step({ kind: "persisted", attemptId: effect.attemptId });
      case "inspect-csr":
        return this.step({ kind: "csr-inspected", attemptId: effect.attemptId, finding: this.inspect(effect.csr) });
      case "issue":
        return this.step({ kind: "issued", requestId: effect.requestId, issued: issuedFor(effect.deviceId) });
      default:
        return [];
    }
  }
}

export function entropyOf(attemptId: string): AttemptEntropy {
  return {
    nonce: bytesOf(`${attemptId} nonce`, 16),
    scalar: bytesOf(`${attemptId} scalar`, 32),
    decoy: bytesOf(`${attemptId} decoy`, 16),
    requestId: `request of ${attemptId}`,
  };
}

export function issuedFor(deviceId = DEVICE_ID): PairIssued {
  return { type: "issued", chain: [bytesOf(deviceId, 40)], deviceId, renewAfter: NOW, addresses: ["192.0.2.10:7420"] };
}

/** A node. Its CSR is its key's name and an attempt number, so that the gateway's shell can tell whose it is. */
export class NodeRoom {
  state: NodePairing;
  now: number;
  readonly attemptId: string;
  readonly key: Uint8Array;
  readonly effects: NodePairingEffect[] = [];

  constructor(
    code: NodeCode,
    options: {
      keyName?: string;
      attemptId?: string;
      gatewayKey?: Uint8Array;
      root?: Uint8Array;
      meshId?: string;
      now?: number;
    } = {},
  ) {
    const { keyName = "node key", gatewayKey = GATEWAY_KEY, root = ROOT, meshId = MESH_ID, now = NOW } = options;
    this.attemptId = options.attemptId ?? keyName;
    this.key = bytesOf(keyName, 32);
    this.now = now;
    const { state, effects } = startNodePairing({
      code,
      channel: { meshId, nodeSpkiSha256: this.key, gatewaySpkiSha256: gatewayKey },
      root,
      name: "build-box",
      platform: { os: "linux", arch: "x64" },
      csr: new TextEncoder().encode(`${keyName}#${this.attemptId}`),
      nonce: bytesOf(`${this.attemptId} node nonce`, 16),
      scalar: bytesOf(`${this.attemptId} node scalar`, 32),
      now,
    });
    this.state = state;
    this.effects.push(...effects);
  }

  step(input: NodePairingInput): NodePairingEffect[] {
    const { state, effects } = stepNode(this.state, input);
    this.state = state;
    this.effects.push(...effects);
    return [...effects];
  }

  receive(message: PairToNode | undefined): NodePairingEffect[] {
    if (message === undefined) throw new Error("nothing to receive");
    return this.step({ kind: "message", now: this.now, message });
  }

  get hello(): PairHello {
    const [effect] = this.effects;
    if (effect?.kind !== "send" || !("method" in effect.message)) throw new Error("no hello");
    return effect.message;
  }

  get prove(): PairProve {
    for (const effect of this.effects) {
      if (effect.kind === "send" && "type" in effect.message && effect.message.type === "prove") return effect.message;
    }
    throw new Error("no proof");
  }

  ofKind<K extends NodePairingEffect["kind"]>(kind: K): Kind<NodePairingEffect, K>[] {
    return this.effects.filter((effect): effect is Kind<NodePairingEffect, K> => effect.kind === kind);
  }
}

/** Let a node get as far as its proof's answer. @returns the code it failed with, if it did */
export function knock(gateway: GatewayRoom, node: NodeRoom, source?: string): string | undefined {
  const { attemptId } = node;
  gateway.hello(attemptId, node.hello, node.key, source);
  if (gateway.failed.has(attemptId)) return gateway.failed.get(attemptId)?.code;
  node.receive(gateway.sent.get(attemptId)?.[0]);
  gateway.step({ kind: "prove", attemptId, prove: node.prove });
  if (gateway.failed.has(attemptId)) return gateway.failed.get(attemptId)?.code;
  const proved = gateway.sent.get(attemptId)?.[1];
  if (proved !== undefined) node.receive(proved);
  return undefined;
}
