/**
 * A command the built-in `exec` task may run. The node's own list decides, whatever a gateway asks for; nothing goes through a shell.
 */
export interface ExecRule {
  /** What a submitter calls it; the path works too. */
  readonly command: string;
  /** The file it stands for; absolute, so that no `PATH` decides. */
  readonly path: string;
  /** Arguments a submitter may give: any, or exactly one of these lists. Default: none at all. */
  readonly args?: "any" | readonly (readonly string[])[];
  /** Where it runs. Default: the node's working directory. */
  readonly cwd?: string;
  /** Its whole environment. Default: `PATH`, `HOME` and `LANG` of the node. */
  readonly env?: Readonly<Record<string, string>>;
}
