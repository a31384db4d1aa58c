import type { GatewayClient, PairingRequestInfo, PairingWindow, WindowUpdate } from "@quaymesh/gateway/client";
import type { Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { confirm } from "../ui/ask.ts";
import { clock, fit, printable, span } from "../ui/format.ts";
import { LiveLines } from "../ui/live.ts";
import type { Terminal } from "../ui/terminal.ts";
import { requestJson } from "./pair-list.ts";
import { holderLines, requestLines } from "./pair-view.ts";
import type { PairOptions } from "./pair.ts";

const REDRAW_MS = 1000;
/** From here on a countdown shows no seconds. */
const LONG_MS = 3_600_000;

/**
 * Follow a window until all its devices are paired: count down, show who asks, take the operator's answer.
 * @throws {CliError} `PAIR_DENIED`, `PAIR_EXPIRED`, `PAIR_BURNT`, `PAIR_CLOSED`; {ClientError}
 */
export async function followWindow(
  context: Context,
  gateway: GatewayClient,
  window: PairingWindow,
  options: PairOptions,
): Promise<void> {
  using countdown = new Countdown(context, window, options.json);
  await using question = new Question(context, gateway, options);
  const story = new Story(context, countdown, options);
  const signal = AbortSignal.any([context.signal, question.failed]);
  for await (const update of gateway.pairing.watch(window.windowId, { signal })) {
    await question.takeBack();
    if (options.json) context.terminal.json(updateJson(update));
    if (update.state === "pending" && update.request !== undefined) {
      if (!update.request.preapproved) countdown.stop();
      question.ask(update.request);
    } else if (story.isOver(update)) return;
  }
  signal.throwIfAborted();
  if (!story.hasPaired) throw new CliError("PAIR_CLOSED", "the pairing window was closed");
}

/** What became of a window, as its updates tell. */
class Story {
  readonly #context: Context;
  readonly #countdown: Countdown;
  readonly #options: PairOptions;
  readonly #paired = new Set<string>();

  constructor(context: Context, countdown: Countdown, options: PairOptions) {
    this.#context = context;
    this.#countdown = countdown;
    this.#options = options;
  }

  /** Whether a device was let in. */
  get hasPaired(): boolean {
    return this.#paired.size > 0;
  }

  /** Say what an update means. @returns whether every device is paired @throws {CliError} where none will be */
  isOver(update: WindowUpdate): boolean {
    switch (update.state) {
      case "open":
      case "pending":
      case "approved":
        return false;
      case "claimed":
        this.#countdown.doing(`a device at ${update.remoteAddress} has the code and is proving it`);
        return false;
      case "attempt-failed":
        this.#countdown.doing("waiting for a device");
        this.#countdown.say(failureLine(update));
        if (update.holder !== undefined) {
          for (const line of holderLines(update.holder, this.#context.terminal.columns)) this.#countdown.say(line);
        }
        return false;
      case "issued":
      case "active":
        return this.#tell(update.request);
      case "used":
        return true;
      case "denied":
      case "expired":
      case "burnt":
      case "closed":
        if (!this.hasPaired) throw endingOf(update.state, update.remoteAddress);
        this.#countdown.say(`the window is over: ${this.#paired.size} of ${this.#options.uses} devices were paired`);
        return update.request === undefined;
      default:
        return update.state satisfies never;
    }
  }

  #tell(request: PairingRequestInfo | undefined): boolean {
    const { uses, json } = this.#options;
    if (request === undefined || this.#paired.has(request.requestId)) return false;
    this.#paired.add(request.requestId);
    if (uses === 1) this.#countdown.stop();
    else this.#countdown.doing(`${this.#paired.size} of ${uses} devices are paired`);
    if (!json) this.#countdown.result(pairedLine(request, this.#context.now()));
    return uses === 1;
  }
}

function failureLine({ remoteAddress, reason }: WindowUpdate): string {
  if (reason === "PIN_BURNT") return "the PIN is burnt: too many wrong tries; the QR code and the link still work";
  return `an attempt from ${remoteAddress} failed (${printable(reason)}); the window is still open`;
}

type Ending = "denied" | "expired" | "burnt" | "closed";

function endingOf(ending: Ending, remoteAddress: string): CliError {
  switch (ending) {
    case "denied":
      return new CliError("PAIR_DENIED", "the device was denied; nothing was issued", {
        hint: "Open a new window with:  quaymesh pair",
      });
    case "expired":
      return new CliError("PAIR_EXPIRED", "the window's time is over and no device was paired", {
        hint: "Open a new one with:  quaymesh pair",
      });
    case "burnt":
      return new CliError("PAIR_BURNT", "the code is burnt: too many wrong tries", {
        seen: [`last from ${remoteAddress}`],
        hint: "Someone may be guessing. Open a new window with:  quaymesh pair",
      });
    case "closed":
      return new CliError("PAIR_CLOSED", "the pairing window was closed");
    default:
      return ending satisfies never;
  }
}

function pairedLine(request: PairingRequestInfo, now: number): string {
  const took = request.requestedAt === undefined ? "" : `  (${span(now - request.requestedAt)})`;
  const until =
    request.certificateNotAfter === undefined ? "" : new Date(request.certificateNotAfter).toISOString().slice(0, 10);
  return `✓ ${printable(request.name)} paired as ${request.deviceId}${took}\n  certificate until ${until}`;
}

function updateJson(update: WindowUpdate): object {
  return { ...update, request: update.request === undefined ? null : requestJson(update.request) };
}

/** `4:58`, or `23 h` where seconds say nothing. */
function left(ms: number): string {
  return ms < LONG_MS ? clock(ms) : span(ms);
}

/** What goes on and the time that is left, redrawn each second. */
class Countdown implements Disposable {
  readonly #terminal: Terminal;
  readonly #live: LiveLines;
  readonly #quiet: boolean;
  readonly #draw: () => void;
  readonly #timer: NodeJS.Timeout;
  #doing = "waiting for a device";

  constructor(context: Context, window: PairingWindow, quiet: boolean) {
    this.#terminal = context.terminal;
    this.#quiet = quiet;
    this.#live = new LiveLines(context.terminal);
    const { expiresAt } = window;
    this.#draw = () => {
      if (quiet || expiresAt === undefined) return;
      this.#live.show([
        fit(`${this.#doing}; closes in ${left(expiresAt - context.now())}`, context.terminal.columns - 1),
      ]);
    };
    this.#draw();
    this.#timer = setInterval(this.#draw, REDRAW_MS);
  }

  /** Something passing: a terminal shows it in place, a pipe gets a line. */
  doing(what: string): void {
    this.#doing = what;
    if (this.#terminal.live) this.#draw();
    else this.say(what);
  }

  /** Something to keep. */
  say(line: string): void {
    if (!this.#quiet) this.#live.print(line);
  }

  /** A line of the result. */
  result(line: string): void {
    this.#live.clear();
    this.#terminal.result(line);
    this.#draw();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#live.clear();
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}

/** The question to the operator, which another operator may answer first. */
class Question implements AsyncDisposable {
  readonly #context: Context;
  readonly #gateway: GatewayClient;
  readonly #options: PairOptions;
  readonly #failed = new AbortController();
  #asked: { readonly back: AbortController; readonly answered: Promise<void> } | undefined;

  constructor(context: Context, gateway: GatewayClient, options: PairOptions) {
    this.#context = context;
    this.#gateway = gateway;
    this.#options = options;
  }

  /** Aborts when the answer could not be given to the gateway. */
  get failed(): AbortSignal {
    return this.#failed.signal;
  }

  ask(request: PairingRequestInfo): void {
    const back = new AbortController();
    const answered = this.#decide(request, back.signal).catch((error: unknown) => {
      if (!back.signal.aborted) this.#failed.abort(error);
    });
    this.#asked = { back, answered };
  }

  /** Something else happened: the question is void. */
  async takeBack(): Promise<void> {
    const asked = this.#asked;
    this.#asked = undefined;
    asked?.back.abort();
    await asked?.answered;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.takeBack();
  }

  async #decide(request: PairingRequestInfo, back: AbortSignal): Promise<void> {
    const { terminal, signal } = this.#context;
    const { json } = this.#options;
    if (request.preapproved) return;
    if (!json) for (const line of requestLines(terminal, request)) terminal.note(line);
    if (json || !terminal.interactive) {
      if (!json) terminal.note(`approve it with:  quaymesh pair approve ${request.requestId}`);
      return;
    }
    const yes = await confirm(this.#context, "Approve?", { flag: "--auto-approve", signal: back });
    // Not taken back from here on: the answer is given.
    if (yes) await this.#gateway.pairing.approve(request.requestId, { signal });
    else await this.#gateway.pairing.deny(request.requestId, { signal });
  }
}
