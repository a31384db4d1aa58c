import type { BulkReceipt, DeviceSelector, GatewayClient, RevocationPreview } from "@quaymesh/gateway/client";
import type { Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { confirm } from "../ui/ask.ts";
import { count, printable, span } from "../ui/format.ts";
import { withTimes } from "../ui/json.ts";

/** Devices shown by name before one is asked; the rest are counted. */
const SHOWN = 10;

/** `quaymesh device revoke --label | --issued-before`: show what it cuts, ask, and print a receipt for each and the total. */
export async function revokeMany(
  context: Context,
  gateway: GatewayClient,
  selector: DeviceSelector,
  options: { readonly reason: string; readonly yes: boolean; readonly json: boolean },
): Promise<void> {
  const { terminal, signal } = context;
  const previews = await gateway.devices.previewRevocations(selector, { signal });
  if (previews.length === 0) {
    if (options.json) terminal.json({ total: totalOf({ receipts: [], spared: [] }) });
    else terminal.note("No device is meant by that; nothing was changed.");
    return;
  }
  if (!options.yes) {
    for (const line of blastRadiusOfMany(previews)) terminal.note(line);
    if (!(await confirm(context, "Go on?", { flag: "--yes" }))) throw new CliError("DECLINED", "nothing was changed");
  }
  const done = await gateway.devices.revokeMany(selector, { reason: options.reason, signal });
  if (options.json) {
    for (const receipt of done.receipts) terminal.json(withTimes(receipt, ["revokedAt"]));
    terminal.json({ total: totalOf(done), spared: done.spared });
    return;
  }
  for (const line of bulkLines(done)) terminal.result(line);
}

/** What a revocation of many will cut, for people. */
export function blastRadiusOfMany(previews: readonly RevocationPreview[]): readonly string[] {
  const sum = (of: (preview: RevocationPreview) => number): number =>
    previews.reduce((total, preview) => total + of(preview), 0);
  const names = previews.slice(0, SHOWN).map(({ device }) => printable(device.name === "" ? device.id : device.name));
  const rest = previews.length > SHOWN ? ` and ${previews.length - SHOWN} more` : "";
  return [
    `This will revoke ${previews.length} device${previews.length === 1 ? "" : "s"}: ${names.join(", ")}${rest}.`,
    `It cuts ${count(sum(({ sessions }) => sessions))} sessions, stops ${count(sum(({ runningTasks }) => runningTasks))} running ` +
      `and ${count(sum(({ queuedTasks }) => queuedTasks))} queued tasks.`,
  ];
}

/** Receipts and the total, for people. */
export function bulkLines(done: BulkReceipt): readonly string[] {
  const total = totalOf(done);
  const each = done.receipts.map(
    ({ deviceName, deviceId, revocationEpoch, receiptId, sessionsClosed, attemptsFenced }) =>
      `✓ ${printable(deviceName === "" ? deviceId : deviceName)} revoked at epoch ${revocationEpoch}, ` +
      `${sessionsClosed} sessions closed, ${attemptsFenced} attempts fenced, receipt ${receiptId}`,
  );
  return [
    ...each,
    ...done.spared.map((device) => `- ${device} changed meanwhile and was left alone`),
    `${total.devices} revoked, ${count(total.sessionsClosed)} sessions closed, the slowest in ${span(total.slowestMs)}, ` +
      `${count(total.attemptsFenced)} attempts fenced`,
    ...windowLines(done.receipts.flatMap(({ windowsClosed }) => windowsClosed)),
  ];
}

/** Pairing codes that ended with devices, for everybody: their windows' ids. */
export function windowLines(windows: readonly string[]): readonly string[] {
  if (windows.length === 0) return [];
  const codes = windows.length === 1 ? "a pairing code" : `${windows.length} pairing codes`;
  return [`  ended for everybody: ${codes} used by what is revoked; window ${windows.join(", ")}`];
}

function totalOf({ receipts, spared }: BulkReceipt) {
  return {
    devices: receipts.length,
    spared: spared.length,
    sessionsClosed: receipts.reduce((total, { sessionsClosed }) => total + sessionsClosed, 0),
    attemptsFenced: receipts.reduce((total, { attemptsFenced }) => total + attemptsFenced, 0),
    slowestMs: Math.max(0, ...receipts.map(({ closedMs }) => closedMs)),
  };
}
