import { randomBytes } from "node:crypto";
import {
  codeIdOf,
  formatTicket,
  generatePin,
  IdentityError,
  Secret,
  TICKET_SECRET_BYTES,
  type CodeSecret,
} from "@quaymesh/identity";
import type { SocketAddress } from "@quaymesh/protocol";
import { GatewayError } from "../errors.ts";
import type { OpenedWindow } from "./service.ts";

/** A window's code: the secret the machine keeps, and the form a person gets. */
export interface DrawnCode {
  readonly secret: CodeSecret;
  readonly shown: OpenedWindow["code"];
}

/** What a ticket says besides its secret. */
export interface TicketFacts {
  readonly meshId: string;
  readonly rootSpkiSha256: Uint8Array;
  readonly addresses: readonly SocketAddress[];
  /** Unix milliseconds, whole seconds. */
  readonly expiresAt: number;
}

/** An 8-digit PIN. */
export function drawPin(): DrawnCode {
  const pin = generatePin();
  return { secret: { kind: "pin", pin }, shown: { kind: "pin", pin: new Secret(pin.reveal()) } };
}

/** A ticket with a fresh secret. @throws {GatewayError} `WINDOW_INVALID` for addresses a ticket cannot carry */
export function drawTicket(facts: TicketFacts): DrawnCode {
  const secret = new Secret(new Uint8Array(randomBytes(TICKET_SECRET_BYTES)));
  try {
    const link = new Secret(formatTicket({ ...facts, secret }));
    return { secret: { kind: "ticket", codeId: codeIdOf(secret), secret }, shown: { kind: "ticket", link } };
  } catch (cause) {
    secret.erase();
    if (!(cause instanceof IdentityError)) throw cause;
    throw new GatewayError("WINDOW_INVALID", `no ticket can be made: ${cause.message}`, { cause });
  }
}

/** Forget a code's secret. */
export function eraseCode(code: CodeSecret): void {
  if (code.kind === "ticket") code.secret.erase();
  else code.pin.erase();
}
