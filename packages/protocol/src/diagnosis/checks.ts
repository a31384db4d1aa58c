/** What a doctor is made of: checks in order of what they stand on, each with one finding. */

/** How a check ended. `warning`: works, and should be looked at. `skipped`: could not be asked, or does not apply. */
export type FindingVerdict = "ok" | "warning" | "failed" | "skipped";

/** What a check came to. */
export interface CheckResult {
  readonly verdict: FindingVerdict;
  /** What was seen, one line for people. */
  readonly seen: string;
  /** What to do, one step a line; with `warning` and `failed`. */
  readonly fix?: string;
  /** The error code that the same fault has elsewhere; with `failed`, and with a `warning` that has one. */
  readonly code?: string;
  /** The same for programs. Times are RFC 3339. */
  readonly details?: Readonly<Record<string, unknown>> | undefined;
}

/** A {@link CheckResult} with the name of its check. */
export interface Finding extends CheckResult {
  readonly check: string;
}

/** One question. It asks, changes nothing, and leaves what it learnt in the context for those after it. */
export interface Check<Context> {
  /** One word, unique among its fellows. */
  readonly name: string;
  /** Names of earlier checks without which this one cannot be asked: where one of them failed or was skipped, this one is skipped. */
  readonly needs?: readonly string[];
  /** Must not throw for what it looks for; what it throws is a fault of its own, and told as that. */
  run(context: Context): Promise<CheckResult> | CheckResult;
}

/** All is well, or does not apply. */
export const ok = (seen: string, details?: CheckResult["details"]): CheckResult => ({
  verdict: "ok",
  seen,
  details,
});

/** The question could not be asked. */
export const skipped = (seen: string): CheckResult => ({ verdict: "skipped", seen });

/** Something is wrong, or will be. */
export const wrong = (
  verdict: "warning" | "failed",
  seen: string,
  rest: { readonly fix: string; readonly code: string; readonly details?: CheckResult["details"] },
): CheckResult => ({ verdict, seen, ...rest });

/**
 * Run checks one after the other.
 * @param onFinding told of each as it is there
 * @throws rethrows `signal.reason`
 */
export async function runChecks<Context>(
  checks: readonly Check<Context>[],
  context: Context,
  options: { readonly signal?: AbortSignal; readonly onFinding?: (finding: Finding) => void } = {},
): Promise<readonly Finding[]> {
  const findings = new Map<string, Finding>();
  for (const check of checks) {
    options.signal?.throwIfAborted();
    const missing = (check.needs ?? []).find((name) => {
      const verdict = findings.get(name)?.verdict;
      return verdict === undefined || verdict === "failed" || verdict === "skipped";
    });
    const result = missing === undefined ? await ask(check, context, options.signal) : skipped(`needs: ${missing}`);
    const finding: Finding = { check: check.name, ...result };
    findings.set(check.name, finding);
    options.onFinding?.(finding);
  }
  return [...findings.values()];
}

async function ask<Context>(check: Check<Context>, context: Context, signal?: AbortSignal): Promise<CheckResult> {
  try {
    return await check.run(context);
  } catch (cause) {
    signal?.throwIfAborted();
    const what = cause instanceof Error ? cause.message : String(cause);
    const code =
      cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : "UNEXPECTED";
    return wrong("failed", `could not be looked at: ${what}`, { code, fix: "Mend what it says, and ask again." });
  }
}

/** The worst of several findings: of those that failed the first, since what comes after it may stand on it; else the first warning. */
export function worstFinding(findings: readonly Finding[]): Finding | undefined {
  return findings.find(({ verdict }) => verdict === "failed") ?? findings.find(({ verdict }) => verdict === "warning");
}
