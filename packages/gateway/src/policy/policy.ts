/** The policy: who may read what of the event log. docs/adr/0019. */
import { GatewayError } from "../errors.ts";

/**
 * Each rule gives something to its readers; what no rule gives, nobody reads. An event may be read where a rule names the reader, the event's kind and the event's device.
 */
export interface Policy {
  readonly rules: readonly PolicyRule[];
}

/** One rule of a {@link Policy}. */
export interface PolicyRule {
  /** Which devices it gives to: `any`, `label:<label>`, `device:<id>`. */
  readonly readers: readonly string[];
  /** Exact kinds, or prefixes that end in `*`. */
  readonly kinds: readonly string[];
  /** Whose events: `self`, `any`, `label:<label>`, `device:<id>`. */
  readonly devices: readonly string[];
}

/** What holds until an operator sets something else: a node reads its own events, and with the label `events-reader` those of all. */
export const DEFAULT_POLICY: Policy = {
  rules: [
    { readers: ["any"], kinds: ["*"], devices: ["self"] },
    { readers: ["label:events-reader"], kinds: ["*"], devices: ["any"] },
  ],
};

const MAX_RULES = 256;
const MAX_ITEMS = 64;
/** Of all rules together: what a node is told of them must fit a frame, and the items a frame may have. docs/wire.md, "CBOR profile". */
const MAX_ITEMS_IN_ALL = 1000;
const DEVICE = /^device:[0-9A-HJKMNP-TV-Z]{26}$/u;
const LABEL = /^label:.{1,64}$/u;
const KIND = /^(?:[^*]{1,128}|[^*]{0,127}\*)$/u;

/**
 * A policy from JSON.
 * @throws {GatewayError} `POLICY_INVALID`, naming the place
 */
export function parsePolicy(text: string): Policy {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new GatewayError("POLICY_INVALID", "the policy is not JSON", { cause });
  }
  const { rules } = fields(value, "the policy", ["rules"]);
  if (!Array.isArray(rules)) throw invalid("rules", "must be a list");
  if (rules.length > MAX_RULES) throw invalid("rules", `there may be at most ${MAX_RULES}`);
  const policy = { rules: rules.map((rule, index) => parseRule(rule, `rules[${index}]`)) };
  const items = policy.rules.reduce(
    (sum, rule) => sum + rule.readers.length + rule.kinds.length + rule.devices.length,
    0,
  );
  if (items > MAX_ITEMS_IN_ALL)
    throw invalid("rules", `may hold at most ${MAX_ITEMS_IN_ALL} readers, kinds and devices`);
  return policy;
}

function parseRule(value: unknown, at: string): PolicyRule {
  const { readers, kinds, devices } = fields(value, at, ["readers", "kinds", "devices"]);
  return {
    readers: items(readers, `${at}.readers`, "any, label:<label> or device:<id>", isReader),
    kinds: items(kinds, `${at}.kinds`, "a kind, or a prefix that ends in *", (item) => KIND.test(item)),
    devices: items(devices, `${at}.devices`, "self, any, label:<label> or device:<id>", isSource),
  };
}

/** A field nobody knows is a mistake: ignored, it would open or close something without a word. */
function fields<K extends string>(value: unknown, at: string, names: readonly K[]): Readonly<Record<K, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid(at, "must be an object");
  const known: readonly string[] = names;
  const unknown = Object.keys(value).find((name) => !known.includes(name));
  if (unknown !== undefined) throw invalid(at, `has a field ${JSON.stringify(unknown)} that means nothing here`);
  const missing = names.find((name) => !Object.hasOwn(value, name));
  if (missing !== undefined) throw invalid(at, `has no ${missing}`);
  return value as Readonly<Record<K, unknown>>;
}

function items(value: unknown, at: string, wanted: string, fits: (item: string) => boolean): readonly string[] {
  if (!Array.isArray(value) || value.length === 0) throw invalid(at, `must be a list of at least one`);
  if (value.length > MAX_ITEMS) throw invalid(at, `may hold at most ${MAX_ITEMS}`);
  return value.map((item: unknown, index) => {
    if (typeof item === "string" && fits(item)) return item;
    throw invalid(`${at}[${index}]`, `must be ${wanted}, not ${JSON.stringify(item)?.slice(0, 80)}`);
  });
}

function isReader(item: string): boolean {
  return item === "any" || LABEL.test(item) || DEVICE.test(item);
}

function isSource(item: string): boolean {
  return item === "self" || isReader(item);
}

function invalid(at: string, what: string): GatewayError {
  return new GatewayError("POLICY_INVALID", `${at} ${what}`, { metadata: { at } });
}
