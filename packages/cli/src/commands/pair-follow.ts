import type { GatewayClient, PairingRequestInfo, PairingWindow, WindowUpdate } from "@quaymesh/gateway/client";
import type { Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { confirm } from "../ui/ask.ts";
import { clock, fit, printable, span } from "../ui/format.ts";
import { LiveLines } from "../ui/live.ts";
import type { Terminal } from "../ui/terminal.ts";
import { requestJson } from "./pair-list.ts";
import { requestLines } from "./pair-view.ts";
import type { PairOptions } from "./pair.ts";

const REDRAW_MS = 1000;

/**
 * Follow a window until its device is paired: count down, show who asks, take the operator's answer.
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
  const signal = AbortSignal.any([context.signal, question.failed]);
  for await (const update of gateway.pairing.watch(window.windowId, { signal })) {
    await question.takeBack();
    if (options.json) context.terminal.json(updateJson(update));
    if (update.state === "pending" && update.request !== undefined) {
      countdown.stop();
      question.ask(update.request);
    } else if (isPaired(context, update, countdown, options)) return;
  }
  signal.throwIfAborted();
  throw new CliError("PAIR_CLOSED", "the pairing window was closed");
}

/** Say what an update means. @returns whether the device is paired @throws {CliError} where it will not be */
function isPaired(context: Context, update: WindowUpdate, countdown: Countdown, options: PairOptions): boolean {
  switch (update.state) {
    case "open":
    case "pending":
    case "approved":
      return false;
    case "claimed":
      countdown.doing(`a device at ${update.remoteAddress} has the code and is proving it`);
      return false;
    case "attempt-failed":
      countdown.doing("waiting for a device");
      countdown.say(
        `an attempt from ${update.remoteAddress} failed (${printable(update.reason)}); the window is still open`,
      );
      return false;
    case "used":
      return true;
    case "issued":
    case "active":
      countdown.stop();
      if (!options.json && update.request !== undefined)
        context.terminal.result(pairedLine(update.request, context.now()));
      return true;
    case "denied":
      throw new CliError("PAIR_DENIED", "the device was denied; nothing was issued", {
        hint: "Open a new window with:  quaymesh pair",
      });
    case "expired":
      throw new CliError("PAIR_EXPIRED", "the window's time is over and no device was paired", {
        hint: "Open a new one with:  quaymesh pair",
      });
    case "burnt":
      throw new CliError("PAIR_BURNT", "the code is burnt: too many wrong tries", {
        seen: [`last from ${update.remoteAddress}`],
        hint: "Someone may be guessing. Open a new window with:  quaymesh pair",
      });
    case "closed":
      throw new CliError("PAIR_CLOSED", "the pairing window was closed");
    default:
      return update.state satisfies never;
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
        fit(`${this.#doing}; closes in ${clock(expiresAt - context.now())}`, context.terminal.columns - 1),
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
    const { json, autoApprove } = this.#options;
    if (!json) for (const line of requestLines(terminal, request)) terminal.note(line);
    if (!autoApprove && (json || !terminal.interactive)) {
      if (!json) terminal.note(`approve it with:  quaymesh pair approve ${request.requestId}`);
      return;
    }
    const yes = autoApprove || (await confirm(this.#context, "Approve?", { flag: "--auto-approve", signal: back }));
    // Not taken back from here on: the answer is given.
    if (yes) await this.#gateway.pairing.approve(request.requestId, { signal });
    else await this.#gateway.pairing.deny(request.requestId, { signal });
  }
}
