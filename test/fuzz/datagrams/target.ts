/** A real gateway in its own process, under everything a network and a bad device can send, with well-behaved sessions on the same port. */
import type dgram from "node:dgram";
import type { Sample } from "../../floods/rig/gateway-child.ts";
import { type Device, Rig } from "../../floods/rig/rig.ts";
import { openSession } from "../../floods/rig/session.ts";
import { keep, readCorpus } from "../corpus.ts";
import { MAX_BLOCK_MS } from "../judge.ts";
import { Random } from "../random.ts";
import type { Finding, FindingKind, Outcome, RunOptions, TargetEntry } from "../target.ts";
import { vectorBytes } from "../vectors.ts";
import { BadDevice } from "./bad-device.ts";
import { mutateDatagram, readSequence, writeSequence } from "./mutate.ts";
import { openSocket, Path } from "./path.ts";
import { Control, type NamedSession } from "./promptness.ts";

/** Datagrams between two questions of the well-behaved sessions. */
const BATCH = 100;
/** What is kept when something breaks. */
const MAX_RECENT = 400;
const MAX_GROWN_BYTES = 128 << 20;
/** Each costs seconds to look into. */
const MAX_SUSPICIONS = 3;
/** Of what crosses the path, this share is damaged. */
const TAMPERED = 0.02;

/** A target of the command line. @param open how the gateway is started */
export function datagramsTarget(name = "datagrams", open: () => Promise<Rig> = () => Rig.open()): TargetEntry {
  const about = "a gateway's port: strangers, somebody on the path, and a device turned bad";
  const run = async (options: RunOptions): Promise<Outcome> => {
    await using control = await Control.open();
    await using rig = await open();
    const devices = [await rig.pair("direct"), await rig.pair("on-path"), await rig.pair("bad")] as const;
    return await new DatagramRun(name, { rig, control }, devices, options).run();
  };
  return { name, about, run };
}

const isLong = (sample: Sample | undefined): boolean => (sample?.longestTurnMs ?? 0) > MAX_BLOCK_MS;

class DatagramRun {
  readonly #name: string;
  readonly #rig: Rig;
  readonly #control: Control;
  readonly #devices: readonly [Device, Device, Device];
  readonly #options: RunOptions;
  readonly #random: Random;
  readonly #findings: Finding[] = [];
  readonly #recent: Uint8Array[] = [];
  #inputs = 0;
  #suspicions = 0;
  #longestTurnMs = 0;
  #slowestAnswerMs = 0;

  constructor(
    name: string,
    { rig, control }: { readonly rig: Rig; readonly control: Control },
    devices: readonly [Device, Device, Device],
    options: RunOptions,
  ) {
    this.#name = name;
    this.#rig = rig;
    this.#control = control;
    this.#devices = devices;
    this.#options = options;
    this.#random = new Random(options.seed);
  }

  async run(): Promise<Outcome> {
    const { seed, seconds, maxInputs, corpus, signal, onProgress } = this.#options;
    const startedAt = performance.now();
    const kept = await readCorpus(corpus, "datagrams");
    const [direct, onPath] = this.#devices;
    await using path = await Path.open(this.#rig.port);
    await using first = await openSession(this.#rig.transport, this.#rig, direct);
    await using second = await openSession(this.#rig.transport, { host: this.#rig.host, port: path.port }, onPath);
    const sessions = [
      { name: "direct", session: first },
      { name: "with somebody on its path", session: second },
    ];
    await this.#allAnswer(sessions);
    const socket = await openSocket();
    const bad = new BadDevice(this.#rig, this.#devices[2], await vectorBytes("messages"));
    const known = kept.flatMap(({ bytes }) => readSequence(bytes));
    for (const datagram of known) this.#send(socket, path, datagram);
    await this.#allAnswer(sessions);
    const before = await this.#sample();
    path.tamper = (datagram) =>
      this.#random.chance(TAMPERED) ? Buffer.from(mutateDatagram(this.#random, [datagram])) : datagram;
    const until = performance.now() + seconds * 1000;
    let last = before;
    while (performance.now() < until && this.#inputs < maxInputs && this.#findings.length === 0 && !signal.aborted) {
      for (let sent = 0; sent < BATCH; sent += 1) {
        this.#send(socket, path, mutateDatagram(this.#random, [...path.captured, ...known]));
        this.#inputs += 1;
      }
      await this.#allAnswer(sessions);
      last = await this.#sample();
      if (isLong(last)) await this.#pinDown(socket, sessions);
      // In every run once at least.
      if (this.#inputs === BATCH || this.#random.chance(0.3)) {
        const finding = await bad.visit(this.#random, () => this.#allAnswer(sessions));
        if (finding !== undefined) this.#findings.push(finding);
        last = await this.#sample();
      }
      onProgress(`datagrams: ${String(this.#inputs)} sent, ${String(bad.figures.deeds)} deeds of a bad device`);
    }
    path.tamper = (datagram) => datagram;
    socket.close();
    this.#judgeMemory(before, last);
    await this.#keepRecent();
    return {
      target: this.#name,
      seed,
      seconds: (performance.now() - startedAt) / 1000,
      inputs: this.#inputs,
      replayed: known.length,
      kept: 0,
      findings: this.#findings,
      figures: {
        ...bad.figures,
        longestTurnMs: Math.round(this.#longestTurnMs),
        slowestAnswerMs: Math.round(this.#slowestAnswerMs),
        grownKiB: Math.round(((last?.rssBytes ?? 0) - (before?.rssBytes ?? 0)) / 1024),
        refused: Object.values(last?.refused ?? {}).reduce((sum, count) => sum + count, 0),
      },
    };
  }

  #send(socket: dgram.Socket, path: Path, datagram: Uint8Array): void {
    this.#recent.push(datagram);
    if (this.#recent.length > MAX_RECENT) this.#recent.shift();
    const way = this.#random.below(3);
    if (way === 0) path.toGateway(datagram);
    else if (way === 1) path.toClient(datagram);
    else socket.send(datagram, this.#rig.port, this.#rig.host, () => undefined);
  }

  /** Every well-behaved session asks, and is answered on the connection it has had from the start. */
  async #allAnswer(sessions: readonly NamedSession[]): Promise<void> {
    const { slowestMs, disturbed } = await this.#control.askWith(sessions);
    const kind = this.#rig.isAlive ? "disturbed" : "died";
    for (const what of disturbed) this.#add(kind, `a well-behaved session (${what})`);
    this.#slowestAnswerMs = Math.max(this.#slowestAnswerMs, slowestMs);
  }

  async #sample(): Promise<Sample | undefined> {
    const sample = await this.#rig.sample();
    if (sample === undefined) {
      this.#add("died", "the gateway ended");
      return undefined;
    }
    for (const fault of sample.faults) this.#add("threw", `the transport survived a fault: ${fault.slice(0, 500)}`);
    this.#longestTurnMs = Math.max(this.#longestTurnMs, sample.longestTurnMs);
    return sample;
  }

  /** A turn takes hundreds of datagrams and what else there is; here each of the latest is a turn's only one. */
  async #pinDown(socket: dgram.Socket, sessions: readonly NamedSession[]): Promise<void> {
    if (this.#suspicions >= MAX_SUSPICIONS) return;
    this.#suspicions += 1;
    for (const datagram of this.#recent.slice(-BATCH)) {
      let isSlow = true;
      // Twice: a collection of garbage falls into one of them.
      for (let again = 0; again < 2 && isSlow; again += 1) {
        socket.send(datagram, this.#rig.port, this.#rig.host, () => undefined);
        await this.#allAnswer(sessions);
        isSlow = isLong(await this.#rig.sample());
      }
      if (!isSlow) continue;
      const input = Buffer.from(datagram.subarray(0, 64)).toString("hex");
      this.#findings.push({ kind: "slow", message: "one datagram blocks the gateway above 50 ms of CPU", input });
      return;
    }
  }

  #judgeMemory(before: Sample | undefined, after: Sample | undefined): void {
    const grown = (after?.rssBytes ?? 0) - (before?.rssBytes ?? 0);
    if (grown > MAX_GROWN_BYTES) this.#add("memory", `${String(grown >> 20)} MiB more than at first`);
  }

  #add(kind: FindingKind, message: string): void {
    this.#findings.push({ kind, message });
  }

  async #keepRecent(): Promise<void> {
    const [finding] = this.#findings;
    if (finding === undefined || !this.#options.write) return;
    const file = await keep(this.#options.corpus, "datagrams", `finding-${finding.kind}`, writeSequence(this.#recent));
    this.#findings[0] = { ...finding, file };
  }
}
