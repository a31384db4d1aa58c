import { randomInt } from "node:crypto";
import { IdentityError } from "../errors.ts";
import { Secret } from "../secret.ts";

/** Digits of a PIN. */
const PIN_DIGITS = 8;

/** A PIN from the system's randomness, leading zeros included. */
export function generatePin(): Secret<string> {
  return new Secret(
    randomInt(10 ** PIN_DIGITS)
      .toString()
      .padStart(PIN_DIGITS, "0"),
  );
}

/** A PIN as it is shown: `4821 7093`. */
export function formatPin(pin: Secret<string>): string {
  const digits = pin.reveal();
  return `${digits.slice(0, PIN_DIGITS / 2)} ${digits.slice(PIN_DIGITS / 2)}`;
}

/** Read a PIN as typed, with spaces or dashes or without. @throws {IdentityError} `PIN_INVALID`, which does not repeat it */
export function parsePin(text: string): Secret<string> {
  const digits = text.replaceAll(/[\s-]/gu, "");
  if (!/^\d{8}$/.test(digits)) throw new IdentityError("PIN_INVALID", `a PIN has ${PIN_DIGITS} digits`);
  return new Secret(digits);
}
