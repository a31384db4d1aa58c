/** Nodes are told of the policy: at their welcome, and whenever an operator sets another. What they are told is for their information; the gateway enforces it. */
import { GatewayError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { LiveSession } from "../sessions/live-session.ts";
import type { SessionRegistry } from "../sessions/registry.ts";
import { OwnedTasks } from "../sessions/owned.ts";
import type { ReadAccess } from "./read-access.ts";

/** Tell a node the version in force, and what of the log it gives to its device. Nothing while no operator has set one. */
export async function pushPolicy(session: LiveSession): Promise<void> {
  const { access } = session.context;
  const { version } = access;
  if (version === 0) return;
  const { grants } = await access.of(session.deviceId);
  session.feed({ kind: "policy", version, policy: { read: grants ?? [{}] } });
}

/** What {@link keepPolicyPushed} takes. */
export interface PolicyPushParts {
  readonly access: ReadAccess;
  readonly registry: SessionRegistry;
  readonly logger: Logger;
}

/** Push each new version to every session, one after the other. @returns stop, and wait for what is under way */
export function keepPolicyPushed({ access, registry, logger }: PolicyPushParts): () => Promise<void> {
  const work = new OwnedTasks((error) => logger.error({ error }, "the policy could not be pushed"));
  const unlisten = access.listen((version) => {
    logger.info({ version }, "the policy has changed");
    work.run(async () => {
      for (const session of registry.all()) {
        // The newer version goes to everyone by its own turn.
        if (access.version !== version) return;
        await pushPolicy(session).catch((error: unknown) => passing(error, session, logger));
      }
    });
  });
  return async () => {
    unlisten();
    await work.settled();
  };
}

function passing(error: unknown, session: LiveSession, logger: Logger): void {
  if (!(error instanceof GatewayError)) throw error;
  logger.warn({ device: session.deviceId, code: error.code }, "the policy could not be pushed");
}
