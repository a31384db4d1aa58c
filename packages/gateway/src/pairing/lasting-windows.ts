/** Windows that outlive the gateway's process: the pre-approved ones. Their tickets' secrets are kept sealed, until the window is over. */
import {
  IdentityError,
  seal,
  sealingKey,
  Secret,
  unseal,
  type Authority,
  type Awaited,
  type CodeSecret,
  type WindowSetup,
} from "@quaymesh/identity";
import type { WindowRow } from "../store/rows.ts";
import { ticketSecret } from "./code.ts";
import { windowFacts, type WindowFacts } from "./records.ts";

/** What seals: a key that only this gateway's issuing key gives. */
export type Sealer = Pick<Authority, "deriveSecret">;

/** A window that is taken up again. */
export interface LastingWindow {
  readonly setup: WindowSetup;
  readonly facts: WindowFacts;
}

/** The sealed form of a window's code; `undefined` for a window that ends with the process. */
export function sealCode(authority: Sealer, windowId: string, codes: readonly CodeSecret[]): Uint8Array | undefined {
  const [code] = codes;
  return code?.kind === "ticket" ? seal(code.secret.reveal(), windowId, keyOf(authority)) : undefined;
}

/**
 * An open window's row as the machine takes it; `undefined` for one that ended with its process, has run out, or was sealed by another issuing key.
 * @param awaited who has a certificate by it and was not seen with it: they may have heard no answer, and come again.
 */
export function lastingWindow(
  authority: Sealer,
  row: WindowRow,
  { now, awaited }: { readonly now: number; readonly awaited: readonly Awaited[] },
): LastingWindow | undefined {
  const { windowId, expiresAt, sealedCode, failures, usesLeft: uses } = row;
  const isTaken = uses < 1 && awaited.length === 0;
  if (sealedCode === undefined || isTaken || now >= expiresAt) return undefined;
  const facts = windowFacts(row);
  if (!facts.preapproved) return undefined;
  try {
    const codes = [ticketSecret(new Secret(unseal(sealedCode, windowId, keyOf(authority))))];
    const { preapproved, deviceId } = facts;
    return { facts, setup: { windowId, codes, expiresAt, uses, preapproved, deviceId, failures, awaited } };
  } catch (cause) {
    if (cause instanceof IdentityError) return undefined;
    throw cause;
  }
}

function keyOf(authority: Sealer): ReturnType<typeof sealingKey> {
  return sealingKey(authority.deriveSecret("pairing windows"));
}
