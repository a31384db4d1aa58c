import type { SocketAddress } from "@quaymesh/protocol";
import { formatAddress } from "../address.ts";
import type { Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { readAnswer } from "../ui/ask.ts";
import type { FoundGateway } from "./service.ts";

/** Wrong answers after which it is given up. */
const TRIES = 3;

/**
 * Have the person choose among the gateways that were announced and have their pairing endpoint open. What they choose is asked for the PIN, and proves that it knows it or gets nothing.
 * @throws {CliError} `NOT_FOUND` where there is none; `USAGE` where no choice is made; rethrows the context's signal
 */
export async function chooseGateway(context: Context, found: readonly FoundGateway[]): Promise<SocketAddress> {
  const { terminal } = context;
  const open = found.flatMap((gateway) => {
    const [address] = gateway.pairing;
    return address === undefined ? [] : [{ gateway, address }];
  });
  if (open.length === 0) throw nothingOpen(found);
  for (const [index, { gateway, address }] of open.entries()) {
    terminal.note(`  ${index + 1}  ${nameOf(gateway)} at ${formatAddress(address)}`);
  }
  terminal.note("Anybody on this network can announce anything: the PIN decides.");
  for (let tries = 0; tries < TRIES; tries += 1) {
    const answer = (await readAnswer(context, `Which one? (1-${open.length}) `, context.signal)).trim();
    const chosen = /^\d{1,3}$/u.test(answer) ? open[Number(answer) - 1] : undefined;
    if (chosen !== undefined) return chosen.address;
    if (answer === "") break;
  }
  throw new CliError("USAGE", "no gateway was chosen", { hint: "Choose one by its number, or give its address." });
}

function nothingOpen(found: readonly FoundGateway[]): CliError {
  const seen = found.map((gateway) => `${nameOf(gateway)} is here, and has no pairing window open`);
  const message = "no gateway on this network says that it can be joined";
  const hint =
    "On the gateway, started with  quaymesh gateway run --announce\nopen a window with:  quaymesh pair --pin\nOr give its address here, or a link.";
  return new CliError("NOT_FOUND", message, { seen, hint });
}

const nameOf = ({ mesh, meshId }: FoundGateway): string => `"${mesh}" (${meshId})`;
