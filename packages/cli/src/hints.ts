import { VERDICTS } from "@quaymesh/protocol/core";

/** What to do, for codes whose own error does not say. */
export const HINTS: ReadonlyMap<string, string> = new Map([
  ["ADDRESS_IN_USE", "Stop what uses that port, or choose another with --listen HOST:PORT."],
  ["ADDRESS_UNAVAILABLE", "Choose an address of this machine with --listen HOST:PORT."],
  ["BINDING_UNAVAILABLE", "Use Linux x64 or arm64, macOS or Windows x64, and install without --omit=optional."],
  ["UNREACHABLE", "Check the address, that the gateway runs, and that UDP passes any firewall."],
  ["HANDSHAKE_TIMEOUT", "Check the address, that a pairing window is open, and that UDP passes any firewall."],
  ["PAIR_TIMEOUT", "Check the address, and that the window is still open on the gateway."],
  ["TICKET_UNREADABLE", "Copy the whole link, from QUAY: to its end, or read the picture with --png FILE."],
  ["TICKET_MISTYPED", "Compare the link with the other screen; a character differs."],
  ["TICKET_VERSION", "Update Quaymesh on this machine."],
  ["TICKET_EXPIRED", "Make a new one on the gateway with:  quaymesh pair"],
  ["PAIR_CODE_INVALID", "Codes work once and burn after 3 wrong tries: make a new one with:  quaymesh pair"],
  ["PAIR_CLOSED", "Open a window on the gateway with:  quaymesh pair"],
  ["PAIR_DENIED", "Ask the operator why; nothing was stored here."],
  ["PAIR_APPROVAL_TIMEOUT", "Try again while an operator is at the gateway."],
  [
    "PAKE_CONFIRM_FAILED",
    "The PIN is wrong, or someone is in between: make a new code on the gateway, and look where you connect.",
  ],
  [VERDICTS.frozen.code, VERDICTS.frozen.fix],
  ["CLOCK_SKEW", "Compare this machine's clock with the dates above and set it, then try again."],
  [
    "CA_INVALID",
    "If dates are named above, compare this machine's clock with them. If it is right, restore the state directory from a backup.",
  ],
  ["STORE_KEY_WRONG", "Give the key file or passphrase this state was sealed with."],
  ["STORE_PERMISSIONS", "Make the directory 0700 and its files 0600, owned by the user who runs this."],
  ["STORE_TAMPERED", "Restore the state directory from a backup."],
  ["STORE_MISSING", "Name the state directory with --state DIR."],
  ["NODE_NOT_PAIRED", "Pair this machine with:  quaymesh node join"],
  [
    "NODE_ALREADY_RUNNING",
    "One process uses a node's state at a time: stop the other, or look at it with:  quaymesh node status",
  ],
  ["GATEWAY_UNREACHABLE", "Check the address, that the gateway runs, and that UDP passes any firewall."],
  [VERDICTS.busy.code, VERDICTS.busy.fix],
  [
    "GATEWAY_PIN_MISMATCH",
    "If the mesh was rebuilt, get a new code from it and pair again. If not, someone may be in between: don't go on.",
  ],
  [
    "GATEWAY_UNTRUSTED",
    "If the mesh was rebuilt, forget the old one with `quaymesh node leave` and pair again. If not, someone may be in between: don't go on.",
  ],
  [VERDICTS.untrusted.code, VERDICTS.untrusted.fix],
  [VERDICTS.unknown.code, VERDICTS.unknown.fix],
  [VERDICTS.expired.code, VERDICTS.expired.fix],
  [
    "RENEW_TOO_LATE",
    "Pair it again with  quaymesh node join  and a code of  quaymesh pair --device NAME: it stays the same device.",
  ],
  ["PAIR_RATE_LIMITED", "Wait, then try once more with the right code."],
  [
    "STATE_CORRUPT",
    "Look at the disk. Move the damaged file away, then pair this machine again: `quaymesh pair --device NAME` on the gateway, `quaymesh node join` here. It stays the same device, and events that wait are kept.",
  ],
  [
    "DEVICE_KEY_MISSING",
    "Pair this machine again: `quaymesh pair --device NAME` on the gateway, `quaymesh node join` here. It stays the same device, and events that wait are kept.",
  ],
  [
    "JOIN_TOKEN_DAMAGED",
    "Remove that file and start the node: the gateway then freezes the device, until `quaymesh device unfreeze NAME` there says that all is well.",
  ],
  ["STATE_VERSION", "Run the newer Quaymesh that wrote this state."],
  ["STATE_UNREADABLE", "Make the directory 0700 and its files 0600, owned by the user who runs this."],
  [
    "OUTBOX_CORRUPT",
    "Keep the directory: what is damaged has not reached the gateway. Restore it, or remove outbox/ to go on without.",
  ],
  ["OUTBOX_DISK_FULL", "Free some space on the disk that holds the node's state."],
  ["TASK_DEFINITION_INVALID", "Correct the definition in the module given with --tasks."],
  [VERDICTS.revoked.code, VERDICTS.revoked.fix],
  ["PIN_INVALID", "A PIN is 8 digits, as shown by:  quaymesh pair --pin"],
]);
