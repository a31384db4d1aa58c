/** What a person has in hand who joins a mesh: a link, a picture, an address and a PIN, or nothing. */
import type { JoinInvitation } from "@quaymesh/node";
import type { SocketAddress } from "@quaymesh/protocol";
import { InvalidArgumentError } from "commander";
import { parseAddress } from "../address.ts";
import { warnOfArgument } from "../argv-secrets.ts";
import type { Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { readAnswer } from "../ui/ask.ts";
import { printable } from "../ui/format.ts";
import { readLine, readSecret } from "../ui/secret.ts";

/** Options of `quaymesh node join` that say what is in hand. */
export interface TargetOptions {
  readonly png?: string;
  readonly show: boolean;
  readonly interface?: string;
  readonly json: boolean;
}

/** Where to join, and how to get in. */
export interface Target {
  /** A person types a PIN: a wrong one may be typed again. */
  readonly byPin: boolean;
  /** @throws {CliError} `USAGE`; {IdentityError} `PIN_INVALID`, `TICKET_*` */
  invitation(): Promise<JoinInvitation>;
}

/** UDP port of a pairing endpoint, where an address does not name one. */
const DEFAULT_PAIRING_PORT = 7421;
const LINK = /^\s*QUAY:/iu;
const OWN_CODE = /^\s*QUAYNODE:/iu;
const PIN = /^\d{4} ?\d{4}$/u;

/**
 * What was given as argument, in a picture, on standard input or at the prompt.
 * @throws {CliError} `USAGE`, `TICKET_UNREADABLE`, `FILE_NOT_FOUND`, `PICTURE_UNREADABLE`, `NOT_FOUND`; rethrows the context's signal
 */
export async function findTarget(context: Context, given: string | undefined, options: TargetOptions): Promise<Target> {
  const { png, show, json } = options;
  const { terminal, signal } = context;
  if (png !== undefined) {
    if (given !== undefined) throw usage("a picture and a link or address were given", "Give one of them.");
    const { readQrPng } = await import("../qr/picture.ts");
    return byTicket(context, await readQrPng(png));
  }
  if (show && (given === undefined || given === "-" || LINK.test(given))) {
    throw usage("--show needs the gateway's address", "Give HOST or HOST:PORT: the code is this machine's own.");
  }
  if (given === undefined) return await fromPrompt(context, options);
  if (given === "-") {
    if (terminal.interactive) return byTicket(context, await readAnswer(context, "Link: ", signal));
    return byTicket(context, await readLine(terminal.streams.stdin, signal));
  }
  if (show) {
    const addresses = [addressFrom(given)];
    return { byPin: false, invitation: () => Promise.resolve({ kind: "own", addresses }) };
  }
  if (LINK.test(given) && !json) warnOfArgument(terminal, "quaymesh node join");
  return LINK.test(given) ? byTicket(context, given) : byPin(context, addressFrom(given));
}

/** Nobody said where: ask, and look on this network where nothing is answered. */
async function fromPrompt(context: Context, { interface: on }: TargetOptions): Promise<Target> {
  const { terminal, signal } = context;
  if (!terminal.interactive) {
    throw usage("nothing says where to join", "Give an address, a link on standard input with  -  , or --png FILE.");
  }
  const answer = (
    await readAnswer(context, "Link or address of the gateway (Enter: look on this network): ", signal)
  ).trim();
  if (LINK.test(answer)) return byTicket(context, answer);
  if (PIN.test(answer)) return byPin(context, await discover(context, on), answer);
  return byPin(context, answer === "" ? await discover(context, on) : addressFrom(answer));
}

function byTicket(context: Context, text: string): Target {
  return {
    byPin: false,
    async invitation() {
      const { parseTicket } = await import("@quaymesh/identity");
      return { kind: "ticket", ticket: parseTicket(text, { now: context.now() }) };
    },
  };
}

/** @param typed the PIN, where it was typed already: the first time alone */
function byPin(context: Context, address: SocketAddress, typed?: string): Target {
  let known = typed;
  return {
    byPin: true,
    async invitation() {
      const { parsePin } = await import("@quaymesh/identity");
      const pin = known ?? (await readSecret(context, "PIN: "));
      known = undefined;
      return { kind: "pin", address, pin: parsePin(pin) };
    },
  };
}

async function discover(context: Context, on: string | undefined): Promise<SocketAddress> {
  context.terminal.note("looking for gateways on this network…");
  const { browse } = await import("../discovery/browse.ts");
  const { chooseGateway } = await import("../discovery/choose.ts");
  return await chooseGateway(context, await browse({ ...interfacesOf(on), signal: context.signal }));
}

/** Where to look for announced gateways: one interface, or all. */
export function interfacesOf(on: string | undefined): { readonly interfaces?: readonly string[] } {
  return on === undefined ? {} : { interfaces: [on] };
}

function addressFrom(text: string): SocketAddress {
  if (OWN_CODE.test(text)) {
    throw usage(
      "that is the code which a device shows, and is for the gateway",
      "There, paste it at the prompt of:  quaymesh pair -",
    );
  }
  try {
    return parseAddress(text, DEFAULT_PAIRING_PORT);
  } catch (cause) {
    if (!(cause instanceof InvalidArgumentError)) throw cause;
    throw new CliError("TICKET_UNREADABLE", `"${printable(text.slice(0, 40))}" is neither a link nor an address`, {
      cause,
      seen: ["a link begins with QUAY: ; an address is HOST or HOST:PORT"],
      hint: "Copy the whole link from the gateway's screen, or give its address to join by PIN.",
    });
  }
}

function usage(message: string, hint: string): CliError {
  return new CliError("USAGE", message, { hint });
}
