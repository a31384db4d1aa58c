export { IdentityError } from "./errors.ts";
export type { IdentityErrorCode, NodePairingCode, PairingCode } from "./errors.ts";
export { Secret } from "./secret.ts";
export { fingerprint, timingSafeEqualBytes } from "./bytes.ts";

export { KeyPair, sha256 } from "./keys/key-pair.ts";
export { certificatesFromPem, certificatesToPem } from "./keys/pem.ts";
export { createCsr, selfSignedCredentials } from "./keys/requests.ts";

export { KeyStore } from "./store/key-store.ts";
export { seal, unseal } from "./store/sealed-file.ts";
export { createKeyFile, passphraseSealingKey, readKeyFile, sealingKey } from "./store/sealing-key.ts";
export type { PassphraseCosts, SealingKey } from "./store/sealing-key.ts";
export {
  checkPassphraseParameters,
  deriveSealingKey,
  newPassphraseParameters,
  readSealing,
  writeSealing,
} from "./store/sealing-header.ts";
export type { PassphraseParameters, Sealing } from "./store/sealing-header.ts";
export { planReseal, settleReseal } from "./store/reseal.ts";
export type { SealedWith } from "./store/reseal.ts";
export { openStream, sealStream } from "./backup/container.ts";
export type { StreamSealing } from "./backup/container.ts";
export { assertPrivate, makePrivateDirectory } from "./store/permissions.ts";
export { syncDirectory, writeFileAtomic } from "./store/write-file-atomic.ts";

export { Authority } from "./authority/authority.ts";
export type { EndpointCertificate, IssuedCertificate, IssuedDeviceCertificate, LineFacts } from "./authority/issued.ts";
export { MIN_PASSPHRASE_LENGTH, openRootKey } from "./authority/root-key-file.ts";
export { parseCsr } from "./authority/csr.ts";
export type { CertificateRequest } from "./authority/csr.ts";
export {
  ANY_PAIRING_SERVER_NAME,
  isDeviceId,
  isMeshId,
  meshIdOf,
  meshServerName,
  pairingServerName,
} from "./authority/names.ts";

export { isBelowRoot } from "./roots/below.ts";
export { dropOldRoot, followRoots, rootKeyHash } from "./roots/follow.ts";
export type { Followed, TrustedRoots } from "./roots/follow.ts";
export { latestMoveVersion, verifyMove } from "./roots/moved.ts";
export { moveStatementBytes, rootStatementBytes } from "./roots/statement.ts";
export type { MoveStatement, RootStatement } from "./roots/statement.ts";

export { TrustIndex } from "./trust/trust-index.ts";
export type { TrustIndexOptions, TrustVerdict } from "./trust/trust-index.ts";
export { DEFAULT_MAX_AGE_MS } from "./trust/records.ts";
export type { DeviceTrust, EnrolledCertificate, Freshness, TrustSnapshot } from "./trust/records.ts";
export { readDeviceLeaf } from "./trust/read-leaf.ts";
export type { DeviceLeaf } from "./trust/read-leaf.ts";
export { judgeChain, verifyChain } from "./trust/judge-chain.ts";
export type { ChainVerdict, GatewayChain, JudgeChainOptions } from "./trust/judge-chain.ts";
export { meshNameOf, verifyIssuedChain } from "./trust/issued-chain.ts";
export type { ExpectedDeviceCertificate } from "./trust/issued-chain.ts";
export { describeChain } from "./trust/describe-chain.ts";
export type { ChainDescription } from "./trust/describe-chain.ts";

export { codeIdOf, formatTicket, parseTicket, TICKET_PREFIX, TICKET_SECRET_BYTES } from "./ticket/ticket.ts";
export type { Ticket } from "./ticket/ticket.ts";
export { formatOwnCode, OWN_CODE_PREFIX, ownCodeIdOf, parseOwnCode } from "./ticket/own-code.ts";
export type { OwnCode } from "./ticket/own-code.ts";
export type { TicketAddress } from "./ticket/addresses.ts";
export { formatPin, generatePin, parsePin } from "./ticket/pin.ts";

export { startNodePairing, stepNode, nodePairingDeadline } from "./pairing/node.ts";
export type {
  NodeCode,
  NodePairing,
  NodePairingEffect,
  NodePairingInput,
  NodePairingSetup,
  NodePairingStep,
} from "./pairing/node.ts";
export { gatewayPairingDeadline, isPairingOpen, stepGateway } from "./pairing/gateway/step.ts";
export type { GatewayPairingStep } from "./pairing/gateway/step.ts";
export { createGatewayPairing } from "./pairing/gateway/state.ts";
export type {
  Approver,
  Awaited,
  CodeSecret,
  GatewayPairing,
  PairingPeer,
  PairingRequest,
  RequestStatus,
  WindowSetup,
} from "./pairing/gateway/state.ts";
export type {
  AttemptEntropy,
  CodeEnd,
  CsrFinding,
  GatewayPairingEffect,
  GatewayPairingInput,
  RenewalFinding,
  RequestEnd,
} from "./pairing/gateway/port.ts";
export { PAIRING_LIMITS } from "./pairing/limits.ts";
export type { PairingLimits } from "./pairing/limits.ts";
export type { PairingChannel } from "./pairing/transcript.ts";
export type { PairingWords } from "./pairing/words.ts";
export { drawAttemptEntropy, drawNodeEntropy, sourcePrefix } from "./entropy.ts";
