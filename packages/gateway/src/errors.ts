/** Canonical Connect codes, as the protocol spells them. @see https://connectrpc.com/docs/protocol#error-codes */
export type ConnectCode =
  | "canceled"
  | "invalid_argument"
  | "deadline_exceeded"
  | "not_found"
  | "already_exists"
  | "permission_denied"
  | "resource_exhausted"
  | "failed_precondition"
  | "aborted"
  | "out_of_range"
  | "unimplemented"
  | "internal"
  | "unavailable"
  | "data_loss"
  | "unauthenticated";

/** What a gateway error means to an API client: the Connect code, and one sentence that says what to do. */
export interface ErrorFacts {
  readonly connect: ConnectCode;
  readonly hint: string;
}

/** Every {@link GatewayErrorCode} with its Connect code and hint. The one table; the API and the CLI read it. */
export const GATEWAY_ERRORS = {
  // The store: ours, or the machine's.
  STORE_CORRUPT: {
    connect: "data_loss",
    hint: "Stop the gateway, keep the damaged file, and restore the state directory from a backup.",
  },
  STORE_NEWER: {
    connect: "failed_precondition",
    hint: "This state was written by a newer Quaymesh: run that version or a later one.",
  },
  STORE_ROLLED_BACK: {
    connect: "failed_precondition",
    hint: "The database is older than one this gateway has already used: restore the newest copy, or revocations may be lost.",
  },
  STORE_BEHIND: {
    connect: "failed_precondition",
    hint: "Restore a newer backup; or stop the gateway and accept the loss: quaymesh gateway restore accept-loss",
  },
  STORE_IN_USE: {
    connect: "failed_precondition",
    hint: "Another gateway uses this state directory: stop it, or choose another directory.",
  },
  STORE_FULL: {
    connect: "resource_exhausted",
    hint: "The disk that holds the gateway's state is full: free some space; the gateway goes on by itself.",
  },
  STORE_OVERLOADED: {
    connect: "resource_exhausted",
    hint: "The gateway has too many writes waiting: try again shortly.",
  },
  STORE_CLOSED: { connect: "unavailable", hint: "The gateway is stopping: try again once it runs." },
  STORE_FAILED: {
    connect: "internal",
    hint: "What the database said is told above, and in the log of a gateway that runs. Look at the disk; if it is sound, restore the newest backup (docs/state.md).",
  },
  // Devices: the caller's.
  DEVICE_NOT_FOUND: { connect: "not_found", hint: "List the devices with: quaymesh device list" },
  DEVICE_AMBIGUOUS: { connect: "failed_precondition", hint: "Give more of the device id." },
  DEVICE_NOT_SELECTED: {
    connect: "failed_precondition",
    hint: "It changed meanwhile and was left alone: look at it with: quaymesh device show",
  },
  DEVICE_FROZEN: {
    connect: "failed_precondition",
    hint: "Two hold its key, or an old copy of its state was put back. Decide: quaymesh device unfreeze, or quaymesh device revoke and pair anew.",
  },
  DEVICE_NOT_FROZEN: { connect: "failed_precondition", hint: "There is nothing to do: it may connect." },
  DEVICE_REVOKED: { connect: "failed_precondition", hint: "The device is revoked: pair it again to use it." },
  DEVICE_KEY_KNOWN: {
    connect: "already_exists",
    hint: "That key already belongs to another device: make a new key on the device and pair again.",
  },
  // Tasks: the caller's.
  TASK_NOT_FOUND: { connect: "not_found", hint: "List the tasks with: quaymesh task list" },
  TASK_AMBIGUOUS: { connect: "failed_precondition", hint: "Give more of the task id." },
  TASK_INVALID: { connect: "invalid_argument", hint: "Correct the request; the message names the field." },
  TASK_INPUT_TOO_LARGE: { connect: "invalid_argument", hint: "Send less input, or split the work into several tasks." },
  TASK_QUEUE_FULL: {
    connect: "resource_exhausted",
    hint: "Too many tasks wait already: try again when some have ended.",
  },
  TASK_ENDED: { connect: "failed_precondition", hint: "The task has ended; its state says how." },
  TASK_NOT_SUCCEEDED: {
    connect: "failed_precondition",
    hint: "Only a task that succeeded has an output: watch it until it ends.",
  },
  IDEMPOTENCY_CONFLICT: {
    connect: "already_exists",
    hint: "The idempotency key was used with another request: use a new key for new work.",
  },
  // The event log: the caller's.
  RESUME_COMPACTED: {
    connect: "out_of_range",
    hint: "Those events are gone: start from `earliest`, or from 0 to take what is left.",
  },
  RESUME_FUTURE: {
    connect: "out_of_range",
    hint: "The log does not reach that offset: the cursor is from another log.",
  },
  LOG_CHANGED: { connect: "failed_precondition", hint: "The cursor belongs to another log: start again from 0." },
  EVENT_DAMAGED: {
    connect: "data_loss",
    hint: "The disk has changed that event: restore the state from a backup, or read on behind it by starting after its offset.",
  },
  SLOW_CONSUMER: { connect: "resource_exhausted", hint: "Read faster, or resume from the last offset you have seen." },
  FILTER_INVALID: { connect: "invalid_argument", hint: "Give exact kinds, or prefixes that end in *." },
  SUBSCRIPTION_NOT_FOUND: {
    connect: "not_found",
    hint: "List the durable subscriptions with: quaymesh events subscriptions",
  },
  SUBSCRIPTION_EXISTS: {
    connect: "already_exists",
    hint: "Open it without a filter, choose another name, or remove it first: quaymesh events unsubscribe",
  },
  SUBSCRIPTION_TAKEN: {
    connect: "aborted",
    hint: "Another consumer reads it now; open it again to take it back.",
  },
  CALL_LIMIT: {
    connect: "resource_exhausted",
    hint: "Too many calls of operators are under way, streams of events most likely: end those that nobody reads, and try again.",
  },
  SUBSCRIPTION_LIMIT: {
    connect: "resource_exhausted",
    hint: "Remove one that nobody needs: quaymesh events subscriptions",
  },
  SUBSCRIPTION_INVALID: { connect: "invalid_argument", hint: "Correct the request; the message names the field." },
  CURSOR_INVALID: { connect: "invalid_argument", hint: "Give a cursor as it was printed: <log>:<offset>." },
  // The policy: the caller's.
  POLICY_INVALID: { connect: "invalid_argument", hint: "Correct the policy; the message names the place." },
  POLICY_CHANGED: {
    connect: "aborted",
    hint: "Somebody set another version meanwhile: look at it with: quaymesh policy show",
  },
  // Pairing: the caller's.
  WINDOW_NOT_FOUND: { connect: "not_found", hint: "The pairing window is closed or never was: open a new one." },
  REQUEST_NOT_FOUND: { connect: "not_found", hint: "No such pairing request; list them with: quaymesh pair list" },
  REQUEST_NOT_PENDING: { connect: "failed_precondition", hint: "The pairing request is already decided or expired." },
  WINDOW_LIMIT: {
    connect: "resource_exhausted",
    hint: "Many pairing windows are open: close one, or wait until one ends.",
  },
  WINDOW_USED_UP: {
    connect: "failed_precondition",
    hint: "The window has let in as many devices as it may: open another with: quaymesh pair",
  },
  WINDOW_INVALID: { connect: "invalid_argument", hint: "Correct the request; the message names the field." },
  PAIRING_PORT_IN_USE: {
    connect: "failed_precondition",
    hint: "Another program uses the pairing endpoint's UDP port: stop it, or start the gateway with another one.",
  },
  PAIRING_UNAVAILABLE: {
    connect: "unavailable",
    hint: "The pairing endpoint's process does not start; the gateway's log says why. Paired devices are not touched.",
  },
  // Starting: the machine's state, or whoever started it.
  STATE_MISSING: {
    connect: "failed_precondition",
    hint: "Make the parent directory, mount the disk it is on, or name another state directory with --state.",
  },
  STATE_NOT_A_DIRECTORY: { connect: "failed_precondition", hint: "Name a directory with --state." },
  STATE_NOT_WRITABLE: {
    connect: "failed_precondition",
    hint: "Free some space where the disk is full; else give the user the gateway runs as write access, or name another state directory with --state.",
  },
  STATE_NOT_PRIVATE: {
    connect: "failed_precondition",
    hint: "It will hold the mesh's keys, so keep others out: chmod 700 on the directory.",
  },
  GATEWAY_ALREADY_RUNNING: {
    connect: "failed_precondition",
    hint: "Use the one that runs, stop it first, or name another state directory with --state.",
  },
  AUTHORITY_MISSING: {
    connect: "failed_precondition",
    hint: "Restore the directory's `authority` from a backup: a new one would shut every paired device out.",
  },
  AUTHORITY_UNREADABLE: {
    connect: "failed_precondition",
    hint: "Give the key that sealed the authority, or restore the state directory from a backup.",
  },
  STATE_NOT_EMPTY: {
    connect: "failed_precondition",
    hint: "A restore takes the place of nothing: name another directory with --state, or move this one away.",
  },
  BACKUP_NOT_FOUND: { connect: "not_found", hint: "Name the backup's file." },
  BACKUP_EXISTS: { connect: "already_exists", hint: "Give it another name, or --force to replace it." },
  BACKUP_NOT_WRITTEN: {
    connect: "failed_precondition",
    hint: "Make room there, let this user write there, or name another place with --to.",
  },
  BACKUP_DAMAGED: { connect: "data_loss", hint: "Take an earlier backup, or another copy of this one." },
  BACKUP_KEY_WRONG: {
    connect: "failed_precondition",
    hint: "Give the passphrase or key file it was made with; nothing else opens it.",
  },
  BACKUP_NEWER: {
    connect: "failed_precondition",
    hint: "The backup was made by a newer Quaymesh: use that version or a later one.",
  },
  PASSPHRASE_NEEDED: {
    connect: "failed_precondition",
    hint: "Give it at a prompt, or with --passphrase-file FILE (0600), or as the systemd credential quaymesh-passphrase.",
  },
  PASSPHRASE_WRONG: {
    connect: "failed_precondition",
    hint: "Try again; without it restore a backup: nothing else opens these keys.",
  },
  // The mesh's root: the operator's.
  ROOT_KEY_OFFLINE: {
    connect: "failed_precondition",
    hint: "Give the file the root's key was exported to, with --root-key.",
  },
  ROOT_KEY_WRONG: {
    connect: "invalid_argument",
    hint: "Give the key of this mesh's newest root, as exported, and its passphrase.",
  },
  ROTATION_STATE: {
    connect: "failed_precondition",
    hint: "A rotation goes start, switch, finish: see where it is with: quaymesh gateway root show",
  },
  DEVICES_BEHIND: {
    connect: "failed_precondition",
    hint: "See who with: quaymesh gateway root show. Wait for them, or go on with --force: they then follow through the pairing endpoint.",
  },
  PORT_IN_USE: {
    connect: "failed_precondition",
    hint: "Stop the program that uses the UDP port, or name another port with --listen.",
  },
  ADDRESS_UNAVAILABLE: {
    connect: "failed_precondition",
    hint: "Name an address this machine has with --listen, or 0.0.0.0 for all of IPv4, or [::] for both families; a descriptor must be that of a bound UDP socket.",
  },
  TRANSPORT_UNAVAILABLE: {
    connect: "failed_precondition",
    hint: "QUIC does not work on this machine: see the cause in the log.",
  },
  ADMIN_SOCKET_PATH_TOO_LONG: {
    connect: "failed_precondition",
    hint: "UNIX socket paths end at 107 bytes: name a state directory with a shorter path.",
  },
  ADMIN_SOCKET_IN_USE: { connect: "failed_precondition", hint: "Stop the program that answers on the socket." },
  ADMIN_SOCKET_FAILED: {
    connect: "failed_precondition",
    hint: "See the cause; the state directory must allow UNIX sockets.",
  },
  // The operator API: the caller's.
  PERMISSION_DENIED: { connect: "permission_denied", hint: "Ask someone with a higher role." },
  REQUEST_INVALID: { connect: "invalid_argument", hint: "Correct the request; the message names the field." },
  // The gateway as a whole.
  GATEWAY_DRAINING: { connect: "unavailable", hint: "The gateway is stopping: try again once it runs." },
  GATEWAY_INTERNAL: { connect: "internal", hint: "See the gateway's log." },
} as const satisfies Readonly<Record<string, ErrorFacts>>;

/** Closed set of what can go wrong in a gateway. */
export type GatewayErrorCode = keyof typeof GATEWAY_ERRORS;

/** The one error class of the gateway package. Decide by `code`; `metadata` holds the facts a code defines, such as `earliest`. */
export class GatewayError extends Error {
  override readonly name = "GatewayError";
  readonly code: GatewayErrorCode;
  readonly metadata: Readonly<Record<string, string>>;
  constructor(
    code: GatewayErrorCode,
    message: string,
    options?: ErrorOptions & { readonly metadata?: Readonly<Record<string, string>> },
  ) {
    super(message, options);
    this.code = code;
    this.metadata = options?.metadata ?? {};
  }
}

/** Whether `code` is one of the closed codes; for errors that crossed a thread. */
export function isGatewayErrorCode(code: string): code is GatewayErrorCode {
  return Object.hasOwn(GATEWAY_ERRORS, code);
}
