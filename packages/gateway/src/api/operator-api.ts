import type { DescService } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import {
  DeviceService,
  EventService,
  GatewayService,
  MeshService,
  PairingService,
  PolicyService,
  TaskService,
} from "@quaymesh/api";
import type { DeviceService as Devices } from "../devices/service.ts";
import type { EventService as Events } from "../events/service.ts";
import type { Logger } from "../logger.ts";
import type { MeshService as Mesh } from "../mesh/service.ts";
import type { PolicyService as Policies } from "../policy/policy-service.ts";
import type { PairingService as Pairing } from "../pairing/service.ts";
import { MAX_TASK_INPUT_BYTES, type TaskService as Tasks } from "../tasks/service.ts";
import { deviceHandler } from "./device-handler.ts";
import { limitCalls } from "./call-limit.ts";
import { translateErrors } from "./errors.ts";
import { eventHandler } from "./event-handler.ts";
import { gatewayHandler, type DaemonControl } from "./gateway-handler.ts";
import { meshHandler } from "./mesh-handler.ts";
import { pairingHandler } from "./pairing-handler.ts";
import { policyHandler } from "./policy-handler.ts";
import { enforcePermission, permissionOf, type Caller } from "./permissions.ts";
import { requestListener, type RequestListener } from "./request-listener.ts";
import { taskHandler } from "./task-handler.ts";

/** What the operator API stands on. */
export interface OperatorApiParts {
  readonly daemon: DaemonControl;
  readonly mesh: Mesh;
  readonly devices: Devices;
  readonly events: Events;
  readonly pairing: Pairing;
  readonly policies: Policies;
  readonly tasks: Tasks;
}

/** Options of {@link operatorApi}. */
export interface OperatorApiOptions {
  readonly logger: Logger;
  /** Who calls through this listener. */
  readonly caller: Caller;
  /** Streams under way at once, and as many other calls beside them. Default 1024. */
  readonly maxCalls?: number;
  /** Ends every call, streaming ones too, with its reason. */
  readonly shutdownSignal: AbortSignal;
}

/** Every service of the operator API. */
export const OPERATOR_SERVICES: readonly DescService[] = [
  GatewayService,
  MeshService,
  PairingService,
  DeviceService,
  TaskService,
  EventService,
  PolicyService,
];

/** The largest task input, as base64 in JSON, and the rest of the message. */
const MAX_MESSAGE_BYTES = Math.ceil((MAX_TASK_INPUT_BYTES * 4) / 3) + 1_048_576;

/**
 * The operator API as an HTTP request listener: Connect, gRPC and gRPC-Web.
 * @throws {GatewayError} `GATEWAY_INTERNAL` where a method names no permission
 */
export function operatorApi(parts: OperatorApiParts, options: OperatorApiOptions): RequestListener {
  for (const service of OPERATOR_SERVICES) service.methods.forEach(permissionOf);
  const { logger, caller, maxCalls, shutdownSignal } = options;
  return requestListener({
    routes: (router) => routes(router, parts),
    // Outermost first: what the permission check throws is translated too.
    interceptors: [translateErrors(logger), limitCalls(maxCalls), enforcePermission],
    caller,
    logger,
    readMaxBytes: MAX_MESSAGE_BYTES,
    shutdownSignal,
  });
}

function routes(router: ConnectRouter, parts: OperatorApiParts): void {
  router.service(GatewayService, gatewayHandler(parts.daemon));
  router.service(MeshService, meshHandler(parts.mesh));
  router.service(PairingService, pairingHandler(parts.pairing));
  router.service(DeviceService, deviceHandler(parts.devices));
  router.service(TaskService, taskHandler(parts.tasks));
  router.service(EventService, eventHandler(parts.events, parts.devices));
  router.service(PolicyService, policyHandler(parts.policies));
}
