/** One exit code: its number, what it says, and the error codes that end a command with it. */
export interface ExitCode {
  readonly exit: number;
  readonly meaning: string;
  readonly codes: readonly string[];
}

/** Done. */
export const EXIT_DONE = 0;
/** Failed, with a reason that has no number of its own. */
export const EXIT_FAILED = 1;
/** The command line is wrong, or this Node is not supported. */
export const EXIT_USAGE = 2;
/** A doctor found something to look at, and nothing that hinders. */
export const EXIT_WARNING = 8;
/** Ctrl-C: 128 + SIGINT, as shells count. */
export const EXIT_INTERRUPTED = 130;

/** Every exit code of `quaymesh`. docs/exit-codes.md is this table for people; a test holds them together. */
export const EXIT_CODES: readonly ExitCode[] = [
  { exit: EXIT_DONE, meaning: "done", codes: [] },
  { exit: EXIT_FAILED, meaning: "failed; the message says why", codes: [] },
  {
    exit: EXIT_USAGE,
    meaning: "the command line is wrong, or Node is too old",
    codes: [
      "USAGE",
      "TASK_INVALID",
      "FILTER_INVALID",
      "INVALID_ARGUMENT",
      "PIN_INVALID",
      "OPTIONS_INVALID",
      "REQUEST_INVALID",
      "WINDOW_INVALID",
      "SUBSCRIPTION_INVALID",
      "CURSOR_INVALID",
      "POLICY_INVALID",
    ],
  },
  {
    exit: 3,
    meaning: "nobody answers at that address or socket",
    codes: [
      "GATEWAY_UNREACHABLE",
      "GATEWAY_GONE",
      "GATEWAY_DRAINING",
      "STORE_CLOSED",
      "SESSION_LOST",
      "UNREACHABLE",
      "HANDSHAKE_TIMEOUT",
      "CONNECTION_CLOSED",
      "PAIR_TIMEOUT",
      "PAIR_UNAVAILABLE",
      "PAIRING_UNAVAILABLE",
      "UNAVAILABLE",
    ],
  },
  {
    exit: 4,
    meaning: "refused by permission",
    codes: ["PERMISSION_DENIED", "UNAUTHENTICATED", "STORE_PERMISSIONS", "STATE_PERMISSIONS", "STATE_NOT_PRIVATE"],
  },
  {
    exit: 5,
    meaning: "no such thing, or the name fits several",
    codes: [
      "NOT_FOUND",
      "FILE_NOT_FOUND",
      "BACKUP_NOT_FOUND",
      "DEVICE_NOT_FOUND",
      "DEVICE_AMBIGUOUS",
      "DEVICE_NOT_SELECTED",
      "DEVICE_NOT_FROZEN",
      "TASK_NOT_FOUND",
      "TASK_AMBIGUOUS",
      "WINDOW_NOT_FOUND",
      "REQUEST_NOT_FOUND",
      "REQUEST_NOT_PENDING",
      "SUBSCRIPTION_NOT_FOUND",
    ],
  },
  {
    exit: 6,
    meaning: "the gateway is full: come back later",
    codes: [
      "GATEWAY_BUSY",
      "WINDOW_LIMIT",
      "PAIR_RATE_LIMITED",
      "STORE_OVERLOADED",
      "CALL_LIMIT",
      "TASK_QUEUE_FULL",
      "SUBSCRIPTION_LIMIT",
      "RESOURCE_EXHAUSTED",
    ],
  },
  {
    exit: EXIT_WARNING,
    meaning: "a doctor found something to look at, nothing that hinders",
    codes: ["PATH_MTU_SMALL", "UDP_BUFFERS_SMALL", "OPEN_FILES_LOW", "SUBSCRIPTION_LAPSED", "EVENTS_THROTTLED"],
  },
  {
    exit: 10,
    meaning: "the ticket cannot be read",
    codes: ["TICKET_UNREADABLE", "TICKET_MISTYPED", "TICKET_VERSION", "PICTURE_UNREADABLE"],
  },
  { exit: 11, meaning: "the ticket has expired", codes: ["TICKET_EXPIRED"] },
  {
    exit: 12,
    meaning: "the code or PIN was refused: wrong, used, or no window is open",
    codes: ["PAIR_CODE_INVALID", "PAIR_CLOSED", "PAIR_BURNT", "PAKE_CONFIRM_FAILED", "WINDOW_USED_UP"],
  },
  {
    exit: 13,
    meaning: "this is not the gateway that was paired with",
    codes: ["GATEWAY_PIN_MISMATCH", "POSSIBLE_INTERCEPTION", "GATEWAY_UNTRUSTED", "CHAIN_INVALID", "PEER_REFUSED"],
  },
  { exit: 14, meaning: "the operator refused the pairing", codes: ["PAIR_DENIED"] },
  {
    exit: 15,
    meaning: "nobody came, or nobody approved, in time",
    codes: ["PAIR_APPROVAL_TIMEOUT", "PAIR_EXPIRED", "RENEW_TOO_LATE"],
  },
  { exit: 16, meaning: "this node is not paired", codes: ["NODE_NOT_PAIRED"] },
  { exit: 17, meaning: "this device is revoked", codes: ["DEVICE_REVOKED"] },
  {
    exit: 18,
    meaning: "this node or key is paired already",
    codes: ["DEVICE_KEY_KNOWN", "STORE_EXISTS"],
  },
  {
    exit: 19,
    meaning: "pairing failed, or the certificate was refused, for another reason",
    codes: [
      "PAIR_VERSION",
      "PAIR_CSR_INVALID",
      "PAIR_KEY_MISMATCH",
      "PAIR_PROTOCOL",
      "CERTIFICATE_EXPIRED",
      "DEVICE_UNKNOWN",
      "DEVICE_FROZEN",
      "GATEWAY_REFUSED",
      "PAIR_FAILED",
      "CLOCK_SKEW",
    ],
  },
  { exit: 20, meaning: "the task failed", codes: ["TASK_FAILED"] },
  { exit: 21, meaning: "the task was cancelled", codes: ["TASK_CANCELLED"] },
  { exit: 22, meaning: "the task ran out of time", codes: ["TASK_TIMED_OUT"] },
  { exit: 23, meaning: "the task was given up after all its attempts", codes: ["TASK_DEAD"] },
  { exit: 24, meaning: "the task had ended already", codes: ["TASK_ENDED", "TASK_NOT_SUCCEEDED"] },
  { exit: 25, meaning: "the idempotency key belongs to another request", codes: ["IDEMPOTENCY_CONFLICT"] },
  {
    exit: 26,
    meaning: "the task's input is not usable",
    codes: ["INPUT_INVALID", "INPUT_TOO_LARGE", "TASK_INPUT_TOO_LARGE"],
  },
  { exit: 27, meaning: "the task's output is not usable", codes: ["OUTPUT_INVALID"] },
  {
    exit: 28,
    meaning: "the task definitions cannot be loaded",
    codes: ["DEFINITIONS_INVALID", "TASK_DEFINITION_INVALID"],
  },
  {
    exit: 30,
    meaning: "the state directory is missing",
    codes: ["STATE_MISSING", "STORE_MISSING", "STATE_NOT_A_DIRECTORY"],
  },
  {
    exit: 31,
    meaning: "the state is damaged",
    codes: [
      "STORE_CORRUPT",
      "EVENT_DAMAGED",
      "BACKUP_DAMAGED",
      "STORE_TAMPERED",
      "STORE_ROLLED_BACK",
      "STATE_CORRUPT",
      "DEVICE_KEY_MISSING",
      "JOIN_TOKEN_DAMAGED",
      "ROOT_KEY_DAMAGED",
      "AUTHORITY_MISSING",
      "OUTBOX_BEHIND",
      "OUTBOX_CORRUPT",
      "CA_INVALID",
    ],
  },
  {
    exit: 32,
    meaning: "the address or port is taken or not ours",
    codes: ["ADDRESS_IN_USE", "PORT_IN_USE", "PAIRING_PORT_IN_USE", "ADDRESS_UNAVAILABLE"],
  },
  {
    exit: 33,
    meaning: "another process uses this state directory",
    codes: ["STORE_IN_USE", "GATEWAY_ALREADY_RUNNING", "NODE_ALREADY_RUNNING", "ADMIN_SOCKET_IN_USE"],
  },
  {
    exit: 34,
    meaning: "the state was written by a newer version",
    codes: ["STORE_NEWER", "STATE_VERSION", "BACKUP_NEWER"],
  },
  {
    exit: 35,
    meaning: "the sealed keys cannot be opened",
    codes: ["STORE_KEY_WRONG", "AUTHORITY_UNREADABLE", "PASSPHRASE_NEEDED", "PASSPHRASE_WRONG", "BACKUP_KEY_WRONG"],
  },
  {
    exit: 36,
    meaning: "the state cannot be read or written",
    codes: [
      "STORE_FULL",
      "STORE_FAILED",
      "STATE_NOT_WRITABLE",
      "BACKUP_NOT_WRITTEN",
      "STATE_UNREADABLE",
      "OUTBOX_DISK_FULL",
      "OUTBOX_IO",
      "ADMIN_SOCKET_FAILED",
      "ADMIN_SOCKET_PATH_TOO_LONG",
      "STORE_READ_FAILED",
      "STORE_WRITE_FAILED",
      "OUTBOX_FULL",
    ],
  },
  { exit: 37, meaning: "QUIC does not run on this machine", codes: ["BINDING_UNAVAILABLE", "TRANSPORT_UNAVAILABLE"] },
  {
    exit: 38,
    meaning: "the root's key is not here or another one, or the step does not follow",
    codes: ["ROOT_KEY_OFFLINE", "ROOT_KEY_WRONG", "ROTATION_STATE", "DEVICES_BEHIND"],
  },
  {
    exit: 39,
    meaning: "the gateway's state is older than one that nodes have seen",
    codes: ["STORE_BEHIND", "GATEWAY_BEHIND"],
  },
  {
    exit: 40,
    meaning: "those events are gone, or the cursor is from another log",
    codes: ["RESUME_COMPACTED", "RESUME_FUTURE", "LOG_CHANGED", "SLOW_CONSUMER"],
  },
  {
    exit: 41,
    meaning: "somebody else came first: another consumer, filter or version",
    codes: ["SUBSCRIPTION_TAKEN", "SUBSCRIPTION_EXISTS", "POLICY_CHANGED"],
  },
  {
    exit: 42,
    meaning: "something is there already, and is not replaced",
    codes: ["BACKUP_EXISTS", "STATE_NOT_EMPTY"],
  },
  { exit: EXIT_INTERRUPTED, meaning: "interrupted by Ctrl-C", codes: ["INTERRUPTED"] },
];

const BY_CODE = new Map(EXIT_CODES.flatMap((row) => row.codes.map((code) => [code, row.exit] as const)));

/** The exit code that an error code ends a command with; 1 for one that has none of its own. */
export function exitFor(code: string): number {
  return BY_CODE.get(code) ?? EXIT_FAILED;
}

/** The lines for `--help`: the numbers of one command. */
export function exitLines(...exits: readonly number[]): string {
  const wanted = new Set([EXIT_DONE, EXIT_FAILED, EXIT_USAGE, ...exits]);
  const rows = EXIT_CODES.filter((row) => wanted.has(row.exit));
  return rows.map((row) => `  ${String(row.exit).padStart(3)}  ${row.meaning}`).join("\n");
}
