import type { MeshRootInfo } from "@quaymesh/gateway/client";
import type { Command } from "commander";
import { makeCommand } from "../command.ts";
import type { CommonOptions, Context } from "../context.ts";
import { connectOperator } from "../operator.ts";
import { printFacts } from "../ui/facts.ts";
import { fit, printable, shortFingerprint, span } from "../ui/format.ts";
import { withTimes } from "../ui/json.ts";

/** Names of devices in a line. */
const MAX_NAMES = 4;
/** From when on an operator is told that the intermediate ends. */
const RENEW_BEFORE_MS = 2 * 365 * 86_400_000;
const MAX_NAME_COLUMNS = 40;

/** `quaymesh gateway root show` */
export function gatewayRootShowCommand(context: Context): Command {
  return makeCommand("show", {
    summary: "show the mesh's root, and how far a rotation is",
    description:
      "Show the root that every device trusts: its fingerprint, how long it and its issuing intermediate last, whether its key is on the gateway, and while it is rotated, which devices are behind and what comes next.",
    examples: [["quaymesh gateway root show", "compare the fingerprint with a node's"]],
    exits: [3, 4, 30],
    state: "gateway",
  }).action(async (options: CommonOptions) => {
    await using gateway = await connectOperator(context, options);
    const root = await gateway.mesh.root({ signal: context.signal });
    if (options.json) context.terminal.json(rootJson(root));
    else printFacts(context.terminal, rootRows(root, context.now()), 14);
  });
}

/** The roots for programs. */
export function rootJson(root: MeshRootInfo) {
  return {
    ...withTimes(root, ["overlapUntil"]),
    roots: root.roots.map((each) => withTimes(each, ["notAfter", "issuingNotAfter"])),
  };
}

/** Label and value, one row each. */
export function rootRows(root: MeshRootInfo, now: number): readonly (readonly [string, string])[] {
  const { roots, phase, overlapUntil, unaware, outdated, devices } = root;
  const left = (until: number | undefined): string =>
    until === undefined ? "-" : until <= now ? "over" : `${day(until)}, ${span(until - now)} left`;
  const rotating = roots.length > 1;
  const newest = roots.at(-1);
  const lines = roots.map((each, at): readonly [string, string] => [
    rotating ? (at === 0 ? "old root" : "new root") : "root",
    `${shortFingerprint(each.fingerprint)}  until ${left(each.notAfter)}${rotating && each.shown ? ", in use" : ""}`,
  ]);
  const held = root.keyIsHere ? "on this gateway; take it offline: gateway root export --remove" : "offline";
  const shared: readonly (readonly [string, string])[] = [
    ["mesh", `${printable(root.meshName)} (${root.meshId})`],
    ...lines,
    ["intermediate", `until ${left(newest?.issuingNotAfter)}`],
    ...renewAdvice(root, now).map((advice) => ["", advice] as const),
    [rotating ? "new key" : "root's key", held],
  ];
  if (!rotating) return [...shared, ["rotation", "none under way"]];
  return [
    ...shared,
    ["rotation", `nodes trust both until ${left(overlapUntil)}`],
    ["told", `${devices - unaware.length} of ${devices} devices trust the new root`],
    ...names(unaware),
    ["renewed", `${devices - outdated.length} of ${devices} devices have a certificate below it`],
    ...names(outdated),
    ["next", `quaymesh gateway root rotate ${phase === "overlap" ? "switch" : "finish"}`],
  ];
}

/** What an operator has to do before the intermediate ends; nothing while there is time, or where the gateway does it. */
export function renewAdvice({ roots, keyIsHere }: MeshRootInfo, now: number): readonly string[] {
  const until = roots.at(-1)?.issuingNotAfter;
  if (keyIsHere || until === undefined || until - now >= RENEW_BEFORE_MS) return [];
  return ["ends soon, run: quaymesh gateway root renew-issuing --root-key FILE"];
}

function names(behind: readonly string[]): readonly (readonly [string, string])[] {
  if (behind.length === 0) return [];
  const more = behind.length > MAX_NAMES ? `, and ${behind.length - MAX_NAMES} more` : "";
  return [["", `not yet: ${fit(behind.slice(0, MAX_NAMES).map(printable).join(", "), MAX_NAME_COLUMNS)}${more}`]];
}

function day(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}
