import { durationMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { RotationPhase, type MeshService } from "@quaymesh/api";
import type { MeshRootView, MeshService as Mesh, MoveView, RotationPhase as Phase } from "../mesh/service.ts";
import { timestamp } from "./encode.ts";

const PHASES: Readonly<Record<Phase, RotationPhase>> = {
  steady: RotationPhase.STEADY,
  overlap: RotationPhase.OVERLAP,
  switched: RotationPhase.SWITCHED,
};

/** `quaymesh.v1.MeshService` on the daemon's mesh. */
export function meshHandler(mesh: Mesh): ServiceImpl<typeof MeshService> {
  return {
    async getRoot() {
      return { root: rootMessage(await mesh.root()) };
    },
    async exportRootKey({ passphrase }) {
      return { file: await mesh.exportRootKey(passphrase) };
    },
    async removeRootKey({ fingerprint }) {
      return { root: rootMessage(await mesh.removeRootKey(fingerprint)) };
    },
    async renewIssuing({ rootKey }) {
      return { root: rootMessage(await mesh.renewIssuing({ ...(rootKey && { rootKey }) })) };
    },
    async startRotation({ rootKey, overlap }) {
      const input = { ...(rootKey && { rootKey }), ...(overlap && { overlapMs: durationMs(overlap) }) };
      return { root: rootMessage(await mesh.startRotation(input)) };
    },
    async switchRotation({ force }) {
      return { root: rootMessage(await mesh.switchRotation({ force })) };
    },
    async finishRotation({ force }) {
      return { root: rootMessage(await mesh.finishRotation({ force })) };
    },
    async move({ addresses, pairing }) {
      return { move: moveMessage(await mesh.move({ addresses, pairing })) };
    },
    async getMove() {
      const move = await mesh.lastMove();
      return move === undefined ? {} : { move: moveMessage(move) };
    },
  };
}

function rootMessage(view: MeshRootView) {
  return {
    meshId: view.meshId,
    meshName: view.meshName,
    roots: view.roots.map(({ version, fingerprint, notAfter, issuingNotAfter, shown }) => ({
      version,
      fingerprint,
      notAfter: timestamp(notAfter),
      issuingNotAfter: timestamp(issuingNotAfter),
      shown,
    })),
    phase: PHASES[view.phase],
    ...(view.overlapUntil !== undefined && { overlapUntil: timestamp(view.overlapUntil) }),
    keyIsHere: view.keyIsHere,
    devices: view.devices,
    unaware: [...view.unaware],
    outdated: [...view.outdated],
  };
}

function moveMessage({ version, at, addresses, pairing, devices, unaware }: MoveView) {
  return {
    version: BigInt(version),
    at: timestamp(at),
    addresses: [...addresses],
    pairing: [...pairing],
    devices,
    unaware: [...unaware],
  };
}
