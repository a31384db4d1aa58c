import { GatewayError } from "../errors.ts";
import type { PairingLimits } from "./limits.ts";
import { isPrintable } from "./printable.ts";
import type { OpenWindow } from "./service.ts";

const MAX_NAME = 64;
const MAX_PURPOSE = 256;
const MAX_LABELS = 32;
const MAX_USES = 1000;
const LABEL = /^[a-z0-9][a-z0-9._-]{0,62}$/u;

/** What an operator may ask for. @throws {GatewayError} `WINDOW_INVALID` */
export function checkWindow(options: OpenWindow, limits: PairingLimits): void {
  const { name, labels, purpose, ttlMs = 0, uses = 1, preapproved = false, code, device } = options;
  const maxTtlMs = preapproved ? limits.maxPreapprovedTtlMs : limits.maxWindowTtlMs;
  const fault =
    (!isPrintable(name, MAX_NAME) && `name must be at most ${MAX_NAME} printable characters`) ||
    (!isPrintable(purpose, MAX_PURPOSE) && `purpose must be at most ${MAX_PURPOSE} printable characters`) ||
    (labels.length > MAX_LABELS && `there can be at most ${MAX_LABELS} labels`) ||
    (!labels.every((label) => LABEL.test(label)) && "a label is 1 to 63 of a-z, 0-9, dot, dash and underscore") ||
    (ttlMs > maxTtlMs && `such a window stays open for at most ${maxTtlMs / 1000} seconds`) ||
    (!isUses(uses) && `uses must be 1 to ${MAX_USES}`) ||
    (preapproved &&
      (code === "pin" || code === "both") &&
      "a pre-approved window has no PIN: eight digits can be guessed") ||
    (uses > 1 && !preapproved && "a window for several devices must be pre-approved") ||
    (uses > 1 && code === "node" && "a node's code is for that node alone") ||
    (uses > 1 &&
      (name !== "" || device !== undefined) &&
      "a name or a device to pair again is one device's: uses must be 1");
  if (fault !== false) throw new GatewayError("WINDOW_INVALID", fault);
}

function isUses(uses: number): boolean {
  return Number.isInteger(uses) && uses >= 1 && uses <= MAX_USES;
}
