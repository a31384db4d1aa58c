/**
 * The operator API, generated from schemas/proto by `npm run generate`. Nothing is written by hand but this list.
 */
export { ErrorReasonSchema } from "../gen/quaymesh/v1/error_pb.js";
export { EventSchema, EventService, SubscribeResponseSchema } from "../gen/quaymesh/v1/event_pb.js";
export type { Event, QuarantinedEvent, SubscribeRequest, SubscribeResponse } from "../gen/quaymesh/v1/event_pb.js";
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
