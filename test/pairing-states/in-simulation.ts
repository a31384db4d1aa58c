/** Which transitions the seeds of the suite take, with the real shells around both machines: all of them but those that are excused here, each with why. */
import { GATEWAY_PAIRS, NODE_PAIRS, type Pair } from "./states.ts";

/** Why a transition is exercised by the exploration alone. */
export type Excuse = keyof typeof EXCUSES;

/** For the document. */
export const EXCUSES = {
  answered: "the shell gives an answer once, where it was asked for",
  drawn: "ids are drawn, and none comes twice",
  "not read": "the node's shell takes nothing in there",
  rare: "the seeds are too few for it",
} as const;

/** Where each answer of a shell was asked for. */
const ASKED: Readonly<Record<string, readonly string[]>> = {
  persisted: ["attempt persisting", "attempt persisting, gone"],
  "persist-failed": ["attempt persisting", "attempt persisting, gone"],
  "csr-inspected": ["attempt inspecting", "attempt none"],
  "renewal-inspected": ["attempt looking-up", "attempt none"],
  "renewal-issued": ["attempt renewing", "attempt none"],
  "renewal-failed": ["attempt renewing", "attempt none"],
  "issue-failed": ["request approved", "request none"],
  stored: ["storing"],
  "store-failed": ["storing"],
};

/** Taken once in a while, or not by these seeds. Whoever makes one of them common strikes it out here. */
export const RARE: ReadonlySet<Pair> = new Set([
  ...["gone", "done", "prove", "tick"].flatMap((input) => [
    `attempt inspecting + ${input}`,
    `attempt looking-up + ${input}`,
    `attempt renewing + ${input}`,
    `attempt persisting, gone + ${input}`,
  ]),
  "attempt none + csr-inspected",
  "attempt none + prove",
  "attempt none + renewal-failed",
  "attempt none + renewal-inspected",
  "attempt none + renewal-issued",
  "attempt persisting + tick",
  "attempt persisting, gone + persist-failed",
  "attempt renewing + renewal-failed",
  "attempt waiting + prove",
  "request approved + issue-failed",
  "request approved + tick",
  "request issued + tick",
  "request none + issue-failed",
  "request none + issued",
  "window claimed + tick",
  "window none + close",
  "awaiting-approval + gone",
  "awaiting-approval + proved",
  "awaiting-approval + share",
  "awaiting-approval + tick",
  "awaiting-proof + share",
  "awaiting-share + gone",
  "awaiting-share + issued",
  "awaiting-share + tick",
  "storing + store-failed",
]);

/** Why the seeds need not take it; `undefined`: they have to. */
export function excuseOf(pair: Pair): Excuse | undefined {
  const [state = "", input = ""] = pair.split(" + ");
  if (RARE.has(pair)) return "rare";
  if (input === "open" && state !== "window none") return "drawn";
  if (state === "failed" || state === "paired") return "not read";
  if (state === "storing" && input !== "stored") return "not read";
  const asked = ASKED[input] ?? (state.startsWith("request ") && input === "issued" ? ["request approved"] : [state]);
  return asked.includes(state) ? undefined : "answered";
}

/** By state and input: what the seeds have to go on taking. */
export const IN_SIMULATION: ReadonlySet<Pair> = new Set(
  [...GATEWAY_PAIRS, ...NODE_PAIRS].filter((pair) => excuseOf(pair) === undefined),
);
