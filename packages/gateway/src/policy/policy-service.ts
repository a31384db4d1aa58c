/** The policy for operators. */
import type { Clock } from "../clock.ts";
import type { DeviceService } from "../devices/service.ts";
import type { LogFilter } from "../store/port-events.ts";
import type { PolicyRow } from "../store/port-policies.ts";
import type { Store } from "../store/port.ts";
import { mayRead } from "./may-read.ts";
import { DEFAULT_POLICY, parsePolicy } from "./policy.ts";
import type { ReadAccess } from "./read-access.ts";

/** What {@link createPolicyService} takes. */
export interface PolicyServiceParts {
  readonly store: Store;
  readonly access: ReadAccess;
  readonly devices: Pick<DeviceService, "get">;
  readonly clock: Clock;
}

/** Who may read what of the log. */
export interface PolicyService {
  /** The policy in force; version 0 is the default. */
  current(): Promise<PolicyRow>;
  /** Newest first. */
  history(limit: number): Promise<readonly PolicyRow[]>;
  /**
   * Put a policy in force: when this resolves, nothing is sent any more that it does not give.
   * @throws {GatewayError} `POLICY_INVALID`, `POLICY_CHANGED`
   */
  set(input: { readonly expected: number; readonly body: string; readonly setBy: string }): Promise<PolicyRow>;
  /**
   * What a device may read, by the policy in force or by `body`, a policy that is not.
   * @throws {GatewayError} `DEVICE_NOT_FOUND`, `POLICY_INVALID`
   */
  check(input: { readonly device: string; readonly body?: string }): Promise<PolicyCheck>;
}

/** See {@link PolicyService.check}. */
interface PolicyCheck {
  readonly deviceId: string;
  readonly name: string;
  readonly labels: readonly string[];
  /** One of these must pass an event; none: nothing. */
  readonly grants: readonly LogFilter[];
}

/** @see PolicyService */
export function createPolicyService({ store, access, devices, clock }: PolicyServiceParts): PolicyService {
  return {
    current: async () => (await store.policies.current()) ?? defaultRow(),
    history: (limit) => store.policies.history({ limit }),
    async set({ expected, body, setBy }) {
      const policy = parsePolicy(body);
      // As it was understood, so that what is shown is what holds.
      return await store.policies.put({ expected, body: JSON.stringify(policy), setBy, now: clock.now() });
    },
    async check({ device: wanted, body }) {
      const policy = body === undefined ? access.policy : parsePolicy(body);
      const device = await devices.get(wanted);
      const grants = device.state === "revoked" ? [] : mayRead(policy, device);
      return { deviceId: device.deviceId, name: device.name, labels: device.labels, grants };
    },
  };
}

function defaultRow(): PolicyRow {
  return { version: 0, body: JSON.stringify(DEFAULT_POLICY), setBy: "", setAt: 0 };
}
