export type { GatewayDiagnosis, RefusedAttemptInfo } from "./types-diagnosis.ts";
export { defaultStateDirectory } from "../daemon/state-directory.ts";
export { MAX_TASK_INPUT_BYTES } from "../tasks/service.ts";
export { connect, GatewayClient } from "./connect.ts";
export type { ConnectOptions } from "./connect.ts";
export type { Devices } from "./devices.ts";
export { ClientError } from "./errors.ts";
export type { ClientErrorCode } from "./errors.ts";
export type { Opened } from "./event-streams.ts";
export type { EventsFilter, EventsOptions, EventStream } from "./events.ts";
export type { Mesh } from "./mesh.ts";
export type { ExportedRootKey, GatewayMoveInfo, MeshRootInfo, RootInfo } from "./mesh-types.ts";
export type { OpenWindowOptions, Pairing } from "./pairing.ts";
export type { TaskDefinition } from "./schema.ts";
export type { QuarantinedOptions } from "./quarantined.ts";
export type { Policies, PolicyAccess, PolicyInfo } from "./policy.ts";
export type { SubscriptionInfo, Subscriptions } from "./subscriptions.ts";
export { TaskHandle } from "./task-handle.ts";
export type { CallOptions } from "./task-handle.ts";
export type { SubmitOptions, TaskPlace, Tasks } from "./tasks.ts";
export type {
  BehindInfo,
  BulkReceipt,
  DeviceInfo,
  DeviceSelector,
  DeviceStateName,
  EventRecord,
  GatewayStats,
  GatewayStatus,
  QuarantinedEvent,
  Receipt,
  RevocationPreview,
  RotationResult,
  TaskInfo,
  TaskLog,
  TaskStateName,
  TaskUpdate,
} from "./types.ts";
export type {
  KeyHolderInfo,
  PairingRequestInfo,
  PairingStateName,
  PairingWindow,
  PairingWindowInfo,
  WindowUpdate,
} from "./types-pairing.ts";
