/** What must never happen has happened. `rule` is short and stable: by it a shrunk plan is known to show the same. */
export class Violation extends Error {
  override readonly name = "Violation";
  readonly rule: string;

  constructor(rule: string, what: string) {
    super(`${rule}: ${what}`);
    this.rule = rule;
  }
}
