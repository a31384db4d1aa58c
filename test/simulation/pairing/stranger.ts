/** Who comes without being asked: guesses at codes, has read one over a shoulder, or sits in between. */
import { randomInt } from "node:crypto";
import {
  createGatewayPairing,
  drawAttemptEntropy,
  drawNodeEntropy,
  ownCodeIdOf,
  parseOwnCode,
  judgeChain,
  Secret,
  startNodePairing,
  stepGateway,
  stepNode,
  type Authority,
  type ChainVerdict,
  type CodeSecret,
  type EndpointCertificate,
  type GatewayPairing,
  type GatewayPairingInput,
  type NodeCode,
} from "@quaymesh/identity";
import {
  encodeFrame,
  errorFrameOf,
  MessageStream,
  PAIRING_METHODS,
  parsePairToGateway,
  parsePairToNode,
  parseRequest,
  type ByteStream,
  type Connection,
  type PairToNode,
} from "@quaymesh/protocol";
import type { Manner } from "../plan.ts";
import type { SimNetwork } from "../net/network.ts";
import type { Process } from "../process.ts";
import { PAIRING_ADDRESS } from "./endpoint.ts";
import { invitationOf, type Handed } from "./joiner.ts";
import type { Holder } from "./materials.ts";

/** Who a stranger is. */
export interface StrangerParts {
  readonly network: SimNetwork;
  readonly process: Process;
  readonly holder: Holder;
}

const MAX_FRAME_BYTES = 16_384;

/** What came of the chains that somebody was shown before: a burst of guesses looks at each once. */
const JUDGED = new WeakMap<Process, WeakMap<readonly Uint8Array[], ChainVerdict>>();

function judge(chain: readonly Uint8Array[], process: Process): ChainVerdict {
  const judged = JUDGED.get(process) ?? new WeakMap<readonly Uint8Array[], ChainVerdict>();
  JUDGED.set(process, judged);
  const now = process.nodeClock.now();
  const verdict = judged.get(chain) ?? judgeChain(chain, { rootSpkiSha256: "first-use", now });
  judged.set(chain, verdict);
  return verdict;
}

/** Try a code at the gateway, once. @returns when there is nothing more to hear */
export async function tryCode(parts: StrangerParts, code: NodeCode, manner: Manner = "waits"): Promise<void> {
  const { holder, process } = parts;
  const connection = await dialGateway(parts);
  try {
    const judged = judge(connection.peer.chain, process);
    if (judged.kind === "refuse") return;
    const begun = startNodePairing({
      code,
      channel: {
        meshId: judged.meshId,
        nodeSpkiSha256: holder.key.spkiSha256,
        gatewaySpkiSha256: judged.spkiSha256,
      },
      root: judged.root,
      name: process.machine.name,
      platform: { os: "sim", arch: "sim" },
      csr: holder.csr,
      ...drawNodeEntropy(),
      now: process.nodeClock.now(),
    });
    const stream = new MessageStream(await connection.openStream(), { maxFrameBytes: MAX_FRAME_BYTES });
    let step = begun;
    for (;;) {
      for (const effect of step.effects) {
        if (effect.kind !== "send") continue;
        await stream.send(effect.message);
        if (manner === "babbles") await babble(stream, effect.message);
        if (manner === "leaves" && "type" in effect.message && effect.message.type === "prove") return;
      }
      if (step.state.kind === "failed" || step.state.kind === "storing") return;
      const message = await stream.receive(parsePairToNode);
      if (message === null) return;
      if (manner === "hangs") {
        await connection.closed;
        return;
      }
      step = stepNode(step.state, { kind: "message", now: process.nodeClock.now(), message });
    }
  } catch {
    // Whatever it is told, it goes away.
  } finally {
    connection.close(0);
  }
}

async function babble(stream: MessageStream, message: Parameters<MessageStream["send"]>[0]): Promise<void> {
  if ("type" in message) await stream.send(message);
  await stream.send({ type: "done" });
}

/** A guess at one of the codes that somebody was shown. */
export function guessAt(shown: readonly Handed[], code: "pin" | "ticket" | "unknown"): NodeCode {
  if (code === "pin") return { kind: "pin", pin: new Secret(wrongPin(shown)) };
  const ticket = code === "ticket" ? rightCodes(shown).find(({ kind }) => kind === "ticket") : undefined;
  const codeId = ticket?.kind === "ticket" ? ticket.codeId : new Uint8Array(8).fill(9);
  return { kind: "ticket", codeId, secret: new Secret(new Uint8Array(16).fill(7)) };
}

/** What somebody was shown, as codes. */
export function rightCodes(shown: readonly Handed[]): readonly NodeCode[] {
  return shown.map((handed) => {
    if (handed.kind === "own") return ownCode(handed.code);
    const invitation = invitationOf(handed);
    if (invitation.kind === "pin") return invitation;
    return { kind: "ticket", codeId: invitation.ticket.codeId, secret: invitation.ticket.secret };
  });
}

/** A node's own code, as somebody else reads it off the node's screen. */
function ownCode(text: string): NodeCode {
  const { secret } = parseOwnCode(text);
  return { kind: "node", codeId: ownCodeIdOf(secret), secret };
}

function wrongPin(shown: readonly Handed[]): string {
  for (;;) {
    const pin = String(randomInt(100_000_000)).padStart(8, "0");
    if (!shown.some((handed) => handed.kind === "pin" && handed.pin === pin)) return pin;
  }
}

async function dialGateway({ network, process, holder }: StrangerParts): Promise<Connection> {
  return network.transport(process).dial(PAIRING_ADDRESS, {
    protocol: "quaymesh-pair/1",
    serverName: "",
    credentials: holder.credentials,
    trust: { kind: "judged", authorize: () => ({ kind: "accept" }) },
  });
}

/** What {@link sitBetween} takes. */
export interface MiddleOptions extends StrangerParts {
  readonly authority: Authority;
  readonly leaf: EndpointCertificate;
  readonly port: number;
  /** Pass everything on, or play the gateway with this code. */
  readonly plays: NodeCode | undefined;
  /** Break the protocol to the node. */
  readonly babbles: boolean;
}

/** Answer in the gateway's place, with a certificate of one's own. */
export async function sitBetween(options: MiddleOptions): Promise<void> {
  const { network, process, leaf, port } = options;
  const listener = await network.transport(process).listen({
    address: { host: process.machine.name, port },
    protocol: "quaymesh-pair/1",
    credentials: leaf.credentials,
    trust: { kind: "judged", authorize: () => ({ kind: "accept" }) },
  });
  for await (const connection of listener) {
    const serve =
      options.plays === undefined ? passOn(options, connection) : play(options, connection, leaf.spkiSha256);
    serve.catch(() => connection.close(0));
  }
}

async function passOn(options: MiddleOptions, near: Connection): Promise<void> {
  const far = await dialGateway(options);
  for await (const stream of near.incomingStreams) {
    const beyond = await far.openStream();
    await Promise.all([pump(stream, beyond), pump(beyond, stream)]);
  }
}

async function pump(from: ByteStream, to: ByteStream): Promise<void> {
  for await (const bytes of from) await to.write(bytes);
  await to.end();
}

/** Says what it is to say, with one fault somewhere: a message twice, another one before it, or none any more. */
function babbler(
  bytes: ByteStream,
  stream: MessageStream,
  { machine }: Process,
): (message: PairToNode) => Promise<void> {
  const fault = machine.random.pick(["twice", "early", "ends"] as const);
  let before = machine.random.between(0, 1);
  return async (message) => {
    before -= 1;
    if (before !== -1) return stream.send(message);
    if (fault === "ends") return bytes.end();
    if (fault === "early") await stream.send(message.type === "share" ? NOBODYS_PROOF : NOBODYS_CERTIFICATE);
    await stream.send(message);
    return stream.send(message);
  };
}

/** Well-formed, and worth nothing. */
const NOBODYS_PROOF: PairToNode = {
  type: "proved",
  mac: new Uint8Array(64),
  root: new Uint8Array(64),
  mesh: "nobodynobodynobo",
  requestId: "01JNASKEDNASKEDNASKEDNASKE",
};
const NOBODYS_CERTIFICATE: PairToNode = {
  type: "issued",
  chain: [new Uint8Array(64)],
  deviceId: "01JNASKEDNASKEDNASKEDNASKE",
  renewAfter: 0,
  addresses: ["gateway:7420"],
};

/** The gateway's own machine with another root: proves the code to the node where it has it, and then lets it wait. */
async function play(options: MiddleOptions, near: Connection, gatewaySpkiSha256: Uint8Array): Promise<void> {
  const { authority, plays, process } = options;
  if (plays === undefined) return;
  const now = (): number => process.gatewayClock.now();
  for await (const bytes of near.incomingStreams) {
    const stream = new MessageStream(bytes);
    const first = await stream.read();
    if (first === null) return;
    const hello = parseRequest(first, PAIRING_METHODS);
    if (hello.method !== "pair") return;
    const say = options.babbles ? babbler(bytes, stream, process) : (message: PairToNode) => stream.send(message);
    let state: GatewayPairing = createGatewayPairing({ meshId: authority.meshId, root: authority.rootDer });
    const feed = async (input: GatewayPairingInput): Promise<void> => {
      const step = stepGateway(state, input);
      state = step.state;
      for (const effect of step.effects) {
        if (effect.kind === "send") await say(effect.message);
        if (effect.kind === "fail") await stream.sendFrame(encodeFrame(errorFrameOf(effect)));
        if (effect.kind === "persist") await feed({ kind: "persisted", attemptId: "it", now: now() });
        if (effect.kind === "inspect-csr") {
          const spkiSha256 = near.peer.spkiSha256;
          const finding = { kind: "valid", spkiSha256, enrolment: { kind: "none" } } as const;
          await feed({ kind: "csr-inspected", attemptId: "it", finding, now: now() });
        }
      }
    };
    const peer = { source: "it", nodeSpkiSha256: near.peer.spkiSha256, gatewaySpkiSha256 };
    const code: CodeSecret = plays.kind === "node" ? { ...plays, spkiSha256: near.peer.spkiSha256 } : plays;
    const setup = { windowId: "w", codes: [code], uses: 1, preapproved: false, expiresAt: now() + 600_000 };
    await feed({ kind: "open", ...setup, now: now() });
    await feed({
      kind: "hello",
      attemptId: "it",
      hello,
      peer,
      entropy: drawAttemptEntropy(),
      deviceId: "it",
      now: now(),
    });
    for await (const message of stream.messages(parsePairToGateway)) {
      if (message.type === "prove") await feed({ kind: "prove", attemptId: "it", prove: message, now: now() });
    }
  }
}
