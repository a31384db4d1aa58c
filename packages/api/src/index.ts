/**
 * The operator API, generated from schemas/proto by `npm run generate`. Nothing is written by hand but this list.
 */
export { ErrorReasonSchema } from "../gen/quaymesh/v1/error_pb.js";
export {
  EventFilterSchema,
  EventSchema,
  EventService,
  SubscribeResponseSchema,
  SubscriptionSchema,
} from "../gen/quaymesh/v1/event_pb.js";
export type {
  ConsumeRequest,
  Event,
  EventFilter,
  QuarantinedEvent,
  SubscribeRequest,
  SubscribeResponse,
  Subscription,
} from "../gen/quaymesh/v1/event_pb.js";
export { PolicySchema, PolicyService } from "../gen/quaymesh/v1/policy_pb.js";
export type { Policy } from "../gen/quaymesh/v1/policy_pb.js";
export { GatewayService, GetStatusResponseSchema } from "../gen/quaymesh/v1/gateway_pb.js";
export type {
  BackupRequest,
  GetDiagnosisResponse,
  GetStatsResponse,
  GetStatusResponse,
  LogStats,
} from "../gen/quaymesh/v1/gateway_pb.js";
export {
  DeviceSchema,
  DeviceService,
  DeviceState,
  RevocationReceiptSchema,
  RotationState,
} from "../gen/quaymesh/v1/device_pb.js";
export type { Device, DeviceSelector, RevocationReceipt } from "../gen/quaymesh/v1/device_pb.js";
export { MeshService, RotationPhase } from "../gen/quaymesh/v1/mesh_pb.js";
export type { GatewayMove, MeshRoot } from "../gen/quaymesh/v1/mesh_pb.js";
export { PairingRequestSchema, PairingService, PairingState } from "../gen/quaymesh/v1/pairing_pb.js";
export type {
  OpenWindowRequest,
  KeyHolder,
  PairingRequest,
  PairingWindow,
  WatchWindowResponse,
} from "../gen/quaymesh/v1/pairing_pb.js";
export { TaskSchema, TaskService, TaskState } from "../gen/quaymesh/v1/task_pb.js";
export type {
  SubmitTaskRequest,
  Task,
  TaskLogLine,
  TaskTarget,
  WatchTaskResponse,
} from "../gen/quaymesh/v1/task_pb.js";
export { Permission, permission } from "../gen/quaymesh/v1/options_pb.js";
