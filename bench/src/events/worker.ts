/** A process of the suite. Argument: its {@link Role} as JSON. */
import { serveGateway } from "./roles/gateway.ts";
import { servePublisher } from "./roles/publisher.ts";
import { serveReader } from "./roles/reader.ts";
import { serveStore } from "./roles/store.ts";
import type { Asked, Answers, Role, Said } from "./calls.ts";

/** A role at work. */
interface Served {
  readonly answers: Answers;
  readonly port?: number;
  readonly stop: () => Promise<void>;
}

function serve(role: Role): Promise<Served> {
  switch (role.kind) {
    case "gateway":
      return serveGateway(role);
    case "publisher":
      return servePublisher(role);
    case "reader":
      return serveReader(role);
    case "store":
      return serveStore(role);
    default:
      return role satisfies never;
  }
}

function say(said: Said): void {
  process.send?.(said);
}

const served = await serve(JSON.parse(process.argv[2] ?? "") as Role);
const answers: Answers = {
  ...served.answers,
  cpu: async () => {
    const { user, system } = process.cpuUsage();
    return { micros: user + system };
  },
};

async function answer({ name, input }: Asked): Promise<Said> {
  try {
    const call = answers[name] as ((input: unknown) => Promise<unknown>) | undefined;
    if (call === undefined) throw new Error("it does not know how");
    return { kind: "answer", value: await call(input) };
  } catch (error) {
    return { kind: "failed", message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

process.on("message", (asked: Asked) => void answer(asked).then(say));
process.once("disconnect", () => {
  void served.stop().finally(() => process.exit(0));
});
say({ kind: "up", port: served.port ?? 0 });
