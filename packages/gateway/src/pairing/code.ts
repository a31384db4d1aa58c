import { randomBytes } from "node:crypto";
import {
  codeIdOf,
  formatTicket,
  generatePin,
  IdentityError,
  ownCodeIdOf,
  parseOwnCode,
  Secret,
  TICKET_SECRET_BYTES,
  type CodeSecret,
} from "@quaymesh/identity";
import type { SocketAddress } from "@quaymesh/protocol";
import { GatewayError } from "../errors.ts";
import type { OpenWindow } from "./service.ts";

/** A window's codes: the secrets the machine keeps, and the forms a person gets. */
export interface DrawnCodes {
  readonly secrets: readonly CodeSecret[];
  readonly link: Secret<string> | undefined;
  readonly pin: Secret<string> | undefined;
}

/** What a ticket says besides its secret. */
export interface TicketFacts {
  readonly meshId: string;
  readonly rootSpkiSha256: Uint8Array;
  readonly addresses: readonly SocketAddress[];
  /** Unix milliseconds, whole seconds. */
  readonly expiresAt: number;
}

/** Fresh codes of the kinds a window is to have, or the node's own. @throws {GatewayError} `WINDOW_INVALID` */
export function drawCodes(options: Pick<OpenWindow, "code" | "nodeCode">, facts: TicketFacts): DrawnCodes {
  if (options.code === "node") return { secrets: [nodeCode(options.nodeCode ?? "")], link: undefined, pin: undefined };
  const ticket = options.code === "pin" ? undefined : drawTicket(facts);
  const pin = options.code === "ticket" ? undefined : generatePin();
  return {
    secrets: [
      ...(ticket === undefined ? [] : [ticket.secret]),
      ...(pin === undefined ? [] : [{ kind: "pin" as const, pin }]),
    ],
    link: ticket?.link,
    pin: pin === undefined ? undefined : new Secret(pin.reveal()),
  };
}

/** The secret of a ticket. */
export function ticketSecret(secret: Secret<Uint8Array>): CodeSecret & { readonly kind: "ticket" } {
  return { kind: "ticket", codeId: codeIdOf(secret), secret };
}

/** The name of the ticket, in lower-case hex. A PIN has none, and a node's own code may be scanned again. */
export function codeNameOf(codes: readonly CodeSecret[]): string | undefined {
  const named = codes.find((code) => code.kind === "ticket");
  return named === undefined ? undefined : Buffer.from(named.codeId).toString("hex");
}

/** Forget a code's secret. */
export function eraseCode(code: CodeSecret): void {
  if (code.kind === "pin") code.pin.erase();
  else code.secret.erase();
}

function drawTicket(facts: TicketFacts): { readonly secret: CodeSecret; readonly link: Secret<string> } {
  const secret = new Secret(new Uint8Array(randomBytes(TICKET_SECRET_BYTES)));
  try {
    return { link: new Secret(formatTicket({ ...facts, secret })), secret: ticketSecret(secret) };
  } catch (cause) {
    secret.erase();
    if (!(cause instanceof IdentityError)) throw cause;
    throw new GatewayError("WINDOW_INVALID", `no ticket can be made: ${cause.message}`, { cause });
  }
}

function nodeCode(text: string): CodeSecret {
  try {
    const { spkiSha256, secret } = parseOwnCode(text);
    return { kind: "node", codeId: ownCodeIdOf(secret), secret, spkiSha256 };
  } catch (cause) {
    if (!(cause instanceof IdentityError)) throw cause;
    throw new GatewayError("WINDOW_INVALID", `the node's code cannot be used: ${cause.message}`, { cause });
  }
}
