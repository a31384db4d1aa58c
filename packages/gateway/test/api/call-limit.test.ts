import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { ErrorReasonSchema, EventService, GatewayService } from "@quaymesh/api";
import { ConnectError } from "@connectrpc/connect";
import { encodeEvents } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { serveFakes, unaskedEvents } from "./fake-services.ts";

/** A log that has one batch, and then says nothing. */
async function* quiet({ signal }: { readonly signal?: AbortSignal } = {}) {
  yield { logId: "log", events: encodeEvents([]), caughtUp: 1 };
  await new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
}

const reasonOf = (error: unknown): string | undefined =>
  error instanceof ConnectError ? error.findDetails(ErrorReasonSchema)[0]?.reason : undefined;

test("streams beyond what may be under way are refused plainly, other calls are not, and they are taken again once others have ended", async () => {
  const events = { ...unaskedEvents, logId: "log", batches: quiet };
  await using api = await serveFakes({ maxCalls: 3, parts: () => ({ events }) });
  const transport = createConnectTransport({
    baseUrl: "http://localhost",
    httpVersion: "1.1",
    nodeOptions: { socketPath: api.path },
  });
  const client = createClient(EventService, transport);
  const status = () => createClient(GatewayService, transport).getStatus({});
  const [ends, later] = [new AbortController(), new AbortController()];
  const open = async ({ signal } = ends) => {
    const stream = client.subscribe({}, { signal })[Symbol.asyncIterator]();
    await stream.next();
    return stream;
  };
  await Promise.all([open(), open(), open()]);
  expect(reasonOf(await open().catch((error: unknown) => error))).toBe("CALL_LIMIT");
  // Beside streams that nobody reads an operator can still do everything else.
  for (let call = 0; call < 5; call += 1) await status();
  ends.abort();
  await eventually(() => open(later));
  later.abort();
});
