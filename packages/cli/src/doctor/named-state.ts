/** Commands in a finding, with the state directory that the examination was told: what is copied from it must look at the same one. */
import type { Finding } from "@quaymesh/protocol/core";

/** As hints write a command: behind two spaces, to the end of the line or two spaces more. */
const COMMAND = /(?<= {2})quaymesh (\w+)(?: [^\n]*?)?(?= {2}|\n|$)/gu;
/** What a shell takes as it is. */
const PLAIN = /^[\w./:@%+=,-]+$/u;

/** A finding whose commands name `state`. @param whose those that are not run on the examined side are left as they are */
export function withState(finding: Finding, state: string, whose: "gateway" | "node"): Finding {
  const named = (text: string): string =>
    text.replaceAll(COMMAND, (command: string, group: string) =>
      (group === "node") === (whose === "node") ? `${command} --state ${quoted(state)}` : command,
    );
  const { fix } = finding;
  return { ...finding, seen: named(finding.seen), ...(fix !== undefined && { fix: named(fix) }) };
}

function quoted(path: string): string {
  return PLAIN.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
