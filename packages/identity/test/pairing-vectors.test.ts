import { describe, expect, test } from "vitest";
import { channelIdentifier, gatewayMac, nodeMac, pairingKeys, pairingShare } from "../src/pairing/transcript.ts";
import { pairingWords } from "../src/pairing/words.ts";
import { hex, readVectors } from "./vectors.ts";

type Field =
  | "about"
  | "meshId"
  | "nodeSpkiSha256"
  | "gatewaySpkiSha256"
  | "prs"
  | "codeId"
  | "nodeNonce"
  | "name"
  | "os"
  | "arch"
  | "csr"
  | "csrHash"
  | "nodeScalar"
  | "gatewayScalar"
  | "gatewayNonce"
  | "ya"
  | "yb"
  | "root"
  | "requestId"
  | "channelIdentifier"
  | "transcript"
  | "nodeKey"
  | "gatewayKey"
  | "nodeMac"
  | "gatewayMac";
type Run = Record<Field, string> & { words: string[] };

const { runs } = readVectors("pairing") as { runs: Run[] };
const toHex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString("hex");

describe.each(runs)("a run $about", (run) => {
  const channel = {
    meshId: run.meshId,
    nodeSpkiSha256: hex(run.nodeSpkiSha256),
    gatewaySpkiSha256: hex(run.gatewaySpkiSha256),
  };
  const hello = {
    ...(run.codeId === "" ? {} : { codeId: hex(run.codeId) }),
    nonce: hex(run.nodeNonce),
    name: run.name,
    platform: { os: run.os, arch: run.arch },
    csrHash: hex(run.csrHash),
  };
  const common = { channel, hello, ya: hex(run.ya), share: { nonce: hex(run.gatewayNonce), yb: hex(run.yb) } };

  test("has these shares", () => {
    expect(toHex(channelIdentifier(channel))).toBe(run.channelIdentifier);
    expect(toHex(pairingShare(hex(run.prs), channel, hex(run.nodeScalar)))).toBe(run.ya);
    expect(toHex(pairingShare(hex(run.prs), channel, hex(run.gatewayScalar)))).toBe(run.yb);
  });

  test.each([
    ["node", hex(run.nodeScalar), hex(run.yb)],
    ["gateway", hex(run.gatewayScalar), hex(run.ya)],
  ])("has these keys, proofs and words at the %s", (_, scalar, peerShare) => {
    const keys = pairingKeys({ ...common, scalar, peerShare });
    if (keys === undefined) throw new Error("the run was aborted");
    expect(toHex(keys.transcript)).toBe(run.transcript);
    expect(toHex(keys.nodeKey)).toBe(run.nodeKey);
    expect(toHex(keys.gatewayKey)).toBe(run.gatewayKey);
    expect(toHex(nodeMac(keys))).toBe(run.nodeMac);
    const added = { root: hex(run.root), mesh: run.meshId, requestId: run.requestId };
    expect(toHex(gatewayMac(keys, added))).toBe(run.gatewayMac);
    expect(pairingWords(keys.transcript, hex(run.csr))).toEqual(run.words);
  });
});
