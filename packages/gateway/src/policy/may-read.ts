/** The one place that says what a device may read. */
import type { LogFilter } from "../store/port-events.ts";
import type { Policy, PolicyRule } from "./policy.ts";

/** A device as the policy sees it. */
export interface Reader {
  readonly deviceId: string;
  readonly labels: readonly string[];
}

/** What `reader` may see: an event may be read where one of these passes it. None: nothing. */
export function mayRead(policy: Policy, reader: Reader): readonly LogFilter[] {
  return policy.rules.filter((rule) => gives(rule, reader)).flatMap((rule) => grantsOf(rule, reader));
}

function gives({ readers }: PolicyRule, { deviceId, labels }: Reader): boolean {
  return readers.some(
    (item) =>
      item === "any" || item === `device:${deviceId}` || (item.startsWith("label:") && labels.includes(item.slice(6))),
  );
}

/** By device and by label each on its own: within one filter both would have to pass. */
function grantsOf(rule: PolicyRule, { deviceId }: Reader): readonly LogFilter[] {
  const kinds = rule.kinds.includes("*") ? {} : { kinds: rule.kinds };
  if (rule.devices.includes("any")) return [kinds];
  const devices = rule.devices.flatMap((item) =>
    item === "self" ? [deviceId] : item.startsWith("device:") ? [item.slice(7)] : [],
  );
  const labels = rule.devices.flatMap((item) => (item.startsWith("label:") ? [item.slice(6)] : []));
  return [...(devices.length > 0 ? [{ ...kinds, devices }] : []), ...(labels.length > 0 ? [{ ...kinds, labels }] : [])];
}
