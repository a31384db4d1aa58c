import { getOption, hasOption, type DescMethod } from "@bufbuild/protobuf";
import { createContextKey, type Interceptor } from "@connectrpc/connect";
import { Permission, permission } from "@quaymesh/api";
import { GatewayError } from "../errors.ts";

/** What an operator may do. Each role includes the ones before it. */
export type Role = "viewer" | "operator" | "admin";

/** Who calls. `name` is for the audit and for idempotency keys, which belong to a submitter. */
export interface Caller {
  readonly role: Role;
  readonly name: string;
}

/** The caller of the request under way; nobody until the listener says who. */
export const callerKey = createContextKey<Caller | undefined>(undefined, { description: "caller" });

const VIEWER = [
  Permission.GATEWAY_READ,
  Permission.PAIRING_READ,
  Permission.DEVICE_READ,
  Permission.TASK_READ,
  Permission.EVENT_READ,
  Permission.POLICY_READ,
];
const OPERATOR = [...VIEWER, Permission.TASK_SUBMIT, Permission.EVENT_CONSUME];
const ADMIN = [
  ...OPERATOR,
  Permission.PAIRING_APPROVE,
  Permission.DEVICE_ROTATE,
  Permission.DEVICE_REVOKE,
  Permission.GATEWAY_ADMIN,
  Permission.POLICY_WRITE,
];

const GRANTS: Readonly<Record<Role, ReadonlySet<Permission>>> = {
  viewer: new Set(VIEWER),
  operator: new Set(OPERATOR),
  admin: new Set(ADMIN),
};

/** Whether a role includes a permission. */
export function grants(role: Role, needed: Permission): boolean {
  return GRANTS[role].has(needed);
}

/**
 * The permission a method names in the schema.
 * @throws {GatewayError} `GATEWAY_INTERNAL` for a method without one, so that it is refused rather than open
 */
export function permissionOf(method: DescMethod): Permission {
  const needed = hasOption(method, permission) ? getOption(method, permission) : Permission.UNSPECIFIED;
  if (needed !== Permission.UNSPECIFIED) return needed;
  throw new GatewayError("GATEWAY_INTERNAL", `${method.parent.typeName}/${method.name} names no permission`);
}

/** The one place where a call is allowed or refused. */
export const enforcePermission: Interceptor = (next) => (request) => {
  const needed = permissionOf(request.method);
  const caller = request.contextValues.get(callerKey);
  if (caller === undefined || !grants(caller.role, needed)) {
    const name = Permission[needed];
    throw new GatewayError("PERMISSION_DENIED", `${request.method.name} needs the permission ${name}`, {
      metadata: { permission: name },
    });
  }
  return next(request);
};
