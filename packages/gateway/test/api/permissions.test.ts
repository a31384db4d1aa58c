import { getOption, hasOption } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { DeviceService, ErrorReasonSchema, GatewayService, Permission, permission, TaskService } from "@quaymesh/api";
import * as api from "@quaymesh/api";
import { describe, expect, test } from "vitest";
import { OPERATOR_SERVICES } from "../../src/api/operator-api.ts";
import { grants, permissionOf, type Role } from "../../src/api/permissions.ts";
import { serveFakes } from "./fake-services.ts";

const METHODS = OPERATOR_SERVICES.flatMap((service) =>
  service.methods.map((method) => [`${service.name}.${method.name}`, method] as const),
);

test("every service of the schema is served", () => {
  const inSchema = Object.values<unknown>(api).filter(
    (value) => typeof value === "object" && value !== null && "kind" in value && value.kind === "service",
  );
  expect(new Set(OPERATOR_SERVICES)).toEqual(new Set(inSchema));
});

test.each(METHODS)("%s names its permission", (_name, method) => {
  expect(hasOption(method, permission)).toBe(true);
  expect(getOption(method, permission)).not.toBe(Permission.UNSPECIFIED);
  expect(permissionOf(method)).toBe(getOption(method, permission));
  // What nobody may do is a method nobody can call.
  expect(grants("admin", permissionOf(method))).toBe(true);
});

test.each(METHODS.filter(([, method]) => /^(Get|List|Watch|Preview|Subscribe)/u.test(method.name)))(
  "%s reads, so a viewer may call it",
  (_name, method) => {
    expect(grants("viewer", permissionOf(method))).toBe(true);
  },
);

test.each(METHODS.filter(([, method]) => !/^(Get|List|Watch|Preview|Subscribe)/u.test(method.name)))(
  "%s changes something, so a viewer may not call it",
  (_name, method) => {
    expect(grants("viewer", permissionOf(method))).toBe(false);
  },
);

test("only an admin changes trust", () => {
  const roles: readonly Role[] = ["viewer", "operator", "admin"];
  const may = (needed: Permission) => roles.filter((role) => grants(role, needed));
  expect(may(Permission.DEVICE_REVOKE)).toEqual(["admin"]);
  expect(may(Permission.DEVICE_ROTATE)).toEqual(["admin"]);
  expect(may(Permission.PAIRING_APPROVE)).toEqual(["admin"]);
  expect(may(Permission.GATEWAY_ADMIN)).toEqual(["admin"]);
  expect(may(Permission.TASK_SUBMIT)).toEqual(["operator", "admin"]);
});

describe("over the socket", () => {
  test("a viewer reads and is refused the rest with PERMISSION_DENIED", async () => {
    await using served = await serveFakes({ caller: { role: "viewer", name: "v" } });
    const transport = createConnectTransport({
      baseUrl: "http://localhost",
      httpVersion: "1.1",
      nodeOptions: { socketPath: served.path },
    });
    await expect(createClient(DeviceService, transport).listDevices({})).resolves.toBeDefined();
    const refused = await createClient(GatewayService, transport)
      .shutdown({})
      .catch((error: unknown) => error);
    const error = ConnectError.from(refused);
    expect(error.code).toBe(Code.PermissionDenied);
    expect(error.findDetails(ErrorReasonSchema)[0]).toMatchObject({
      reason: "PERMISSION_DENIED",
      metadata: { permission: "GATEWAY_ADMIN" },
    });
    expect(served.seen.stopRequests).toBe(0);
    const denied = await createClient(TaskService, transport)
      .submitTask({ definition: "x", target: { target: { case: "any", value: true } } })
      .catch((error: unknown) => error);
    expect(ConnectError.from(denied).code).toBe(Code.PermissionDenied);
    expect(served.seen.submitted).toEqual([]);
  });
});
