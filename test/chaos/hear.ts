import type { Audit } from "./audit.ts";

/** Enter what a node's process said into the books. Anything else it may say means nothing here. */
export function hear(audit: Audit, run: number, line: string): void {
  const [word, writer, n, rest = ""] = line.split(" ");
  const name = { run, writer: Number(writer), n: Number(n) };
  switch (word) {
    case "p":
      return audit.published(name, Number(rest));
    case "r":
      if (!/^OUTBOX_(?:DISK_)?FULL$/.test(rest)) audit.note("surprise", `a publish was refused: ${rest}`);
      return audit.refused(name);
    case "u":
      return audit.note("resolved-before-sync", `${line.slice(2)} of run ${String(run)}`);
    case "x":
      return audit.note("surprise", `run ${String(run)}: ${line.slice(2)}`);
    default:
  }
}
