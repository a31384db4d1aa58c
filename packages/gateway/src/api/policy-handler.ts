import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { PolicySchema, PolicyService } from "@quaymesh/api";
import type { PolicyService as Policies } from "../policy/policy-service.ts";
import type { PolicyRow } from "../store/port-policies.ts";
import { filterMessage, timestamp } from "./encode.ts";
import { safeInteger } from "./numbers.ts";
import { callerKey } from "./permissions.ts";

const MAX_HISTORY = 100;

/** `quaymesh.v1.PolicyService`. */
export function policyHandler(policies: Policies): ServiceImpl<typeof PolicyService> {
  return {
    async getPolicy({ history }) {
      const [current, earlier] = await Promise.all([
        policies.current(),
        history === 0 ? [] : policies.history(Math.min(history, MAX_HISTORY)),
      ]);
      return { policy: policyMessage(current), history: earlier.map(policyMessage) };
    },
    async setPolicy({ expected, body }, { values }) {
      const setBy = values.get(callerKey)?.name ?? "";
      const row = await policies.set({ expected: safeInteger(expected, "expected"), body, setBy });
      return { policy: policyMessage(row) };
    },
    async previewPolicy({ device, body }) {
      const check = await policies.check({ device, ...(body !== "" && { body }) });
      return {
        deviceId: check.deviceId,
        deviceName: check.name,
        labels: [...check.labels],
        grants: check.grants.map(filterMessage),
      };
    },
  };
}

function policyMessage({ version, body, setBy, setAt }: PolicyRow): MessageInitShape<typeof PolicySchema> {
  return { version: BigInt(version), body, setBy, setAt: version === 0 ? undefined : timestamp(setAt) };
}
