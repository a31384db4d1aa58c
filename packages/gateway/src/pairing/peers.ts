/** Who is connected to the pairing endpoint: what comes from there, as inputs of identity's machine. */
import { drawAttemptEntropy, sourcePrefix, type GatewayPairing } from "@quaymesh/identity";
import { encodeFrame } from "@quaymesh/protocol";
import { ulid } from "ulid";
import { formatAddress } from "../daemon/addresses.ts";
import type { PeerListener, RemotePeer } from "./child-run.ts";
import type { DeskParts, EndpointPort } from "./desk-parts.ts";
import type { UntimedInput } from "./effects.ts";
import { messageOf, openingOf } from "./frames.ts";
import type { Rooms } from "./rooms.ts";

/** What {@link PairingPeers} works with. */
export interface PairingPeersParts extends Pick<DeskParts, "roots"> {
  readonly rooms: Rooms;
  /** It is opened for these peers, so there after them. */
  readonly endpoint: () => EndpointPort;
  /** As the machine has it now. */
  readonly attempt: (id: string) => ReturnType<GatewayPairing["attempts"]["get"]>;
  readonly feed: (input: UntimedInput) => void;
}

/** Hears the endpoint's peers. */
export class PairingPeers implements PeerListener {
  readonly #parts: PairingPeersParts;
  readonly #remotes = new Map<string, RemotePeer>();

  constructor(parts: PairingPeersParts) {
    this.#parts = parts;
  }

  onPeer(peer: RemotePeer, firstFrame: Uint8Array): void {
    const { roots, rooms, attempt, feed } = this.#parts;
    const endpoint = this.#parts.endpoint();
    const opening = openingOf(firstFrame);
    if (opening === undefined) {
      endpoint.drop(peer.id);
      return;
    }
    if (opening.method === "mesh.roots") {
      // Public, signed and small: whoever asks is told, and it costs nobody a place.
      endpoint.end(peer.id, encodeFrame(roots()));
      return;
    }
    this.#remotes.set(peer.id, peer);
    const source = sourcePrefix(peer.host);
    const seen = { source, nodeSpkiSha256: peer.spkiSha256, gatewaySpkiSha256: endpoint.spkiSha256 };
    if (opening.method === "certificate.renew") {
      feed({ kind: "renew", attemptId: peer.id, csr: opening.csr, peer: seen });
      return;
    }
    const chance = { entropy: drawAttemptEntropy(), deviceId: ulid() };
    feed({ kind: "hello", attemptId: peer.id, hello: opening, peer: seen, ...chance });
    const begun = attempt(peer.id);
    if (begun?.kind === "proving" && begun.windowId !== undefined) {
      rooms.arrive(begun.windowId, this.remoteOf(peer.id));
    }
  }

  onFrame(peer: string, frame: Uint8Array): void {
    const { feed } = this.#parts;
    const message = messageOf(frame);
    if (message?.type === "prove") feed({ kind: "prove", attemptId: peer, prove: message });
    if (message?.type === "done") feed({ kind: "done", attemptId: peer });
  }

  onGone(peer: string): void {
    const { rooms, attempt, feed } = this.#parts;
    const begun = attempt(peer);
    if (begun?.kind === "proving" && begun.windowId !== undefined) {
      rooms.publish(begun.windowId, "attempt-failed", "PEER_GONE");
    }
    feed({ kind: "gone", attemptId: peer });
    this.#remotes.delete(peer);
  }

  /** host:port of who is behind an attempt; empty once that one is gone. */
  remoteOf(attemptId: string): string {
    const peer = this.#remotes.get(attemptId);
    return peer === undefined ? "" : formatAddress(peer);
  }
}
