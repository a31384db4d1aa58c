import type { EventRecord, GatewayClient } from "@quaymesh/gateway/client";
import { InvalidArgumentError } from "commander";
import { expandId } from "../operator.ts";
import type { Context } from "../context.ts";
import { fit, printable, shortId } from "../ui/format.ts";
import { toJson } from "../ui/json.ts";

/** Print an event: a line for people, or one JSON value. */
export function printEvent(context: Context, event: EventRecord, json: boolean): void {
  const { terminal } = context;
  if (json) {
    const { outboxEpoch, bytes: _bytes, data, time, received, ...rest } = event;
    const times = { time: iso(time), received: iso(received) };
    terminal.json({ ...rest, outboxEpoch: Buffer.from(outboxEpoch).toString("hex"), ...times, data: toJson(data) });
    return;
  }
  const when = (iso(event.received) ?? "").slice(11, 23);
  const head = `${String(event.offset).padStart(8)}  ${when}  ${shortId(event.deviceId)}  ${printable(event.kind)}  `;
  const body = printable(JSON.stringify(toJson(event.data)) ?? "");
  terminal.result(
    fit(`${head}${body}`, terminal.streams.stdout.isTTY === true ? terminal.columns : Number.MAX_SAFE_INTEGER),
  );
}

/** Device ids from ids, short ids and names. */
export async function deviceIds(
  gateway: GatewayClient,
  names: readonly string[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  const ids = async (): Promise<readonly string[]> =>
    (await gateway.devices.list({ signal })).map((device) => device.id);
  const found = [];
  for (const name of names) found.push((await gateway.devices.get(await expandId(name, ids), { signal })).id);
  return found;
}

const AGE = /^(?<count>\d{1,9})(?<unit>[smhd])$/u;
const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A moment: `2h` ago, or an RFC 3339 time. @returns what it is at `now` */
export function moment(text: string): (now: number) => number {
  const age = AGE.exec(text)?.groups;
  if (age !== undefined) return (now) => Math.max(0, now - Number(age["count"]) * (UNIT_MS[age["unit"] ?? ""] ?? 0));
  const at = /^\d{4}-\d{2}-\d{2}(?:[T ].*)?$/u.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at) || at < 0) {
    throw new InvalidArgumentError("Give an age such as 90s, 5m, 2h or 1d, or a time such as 2026-11-20T10:00:00Z.");
  }
  return () => at;
}

function iso(time: number | undefined): string | null {
  return time === undefined ? null : new Date(time).toISOString();
}
