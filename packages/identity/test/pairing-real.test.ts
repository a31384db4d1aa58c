/** The two machines with real keys, certificates and an authority in their shells. */
import {
  certificatesFromPem,
  codeIdOf,
  createCsr,
  createGatewayPairing,
  drawAttemptEntropy,
  drawNodeEntropy,
  formatTicket,
  judgeChain,
  KeyPair,
  meshNameOf,
  pairingServerName,
  parseCsr,
  parseTicket,
  Secret,
  selfSignedCredentials,
  sourcePrefix,
  startNodePairing,
  stepGateway,
  stepNode,
  TrustIndex,
  verifyIssuedChain,
  type CsrFinding,
  type GatewayPairingEffect,
  type GatewayPairingInput,
  type IssuedDeviceCertificate,
  type NodePairingEffect,
} from "@quaymesh/identity";
import type { PairToNode } from "@quaymesh/protocol";
import { expect, test } from "vitest";
import { createMesh, DEVICE_ID, NOW, TemporaryDirectory } from "./support.ts";

test("a ticket becomes a certificate that the trust index accepts, and no longer once revoked", async () => {
  await using temporary = await TemporaryDirectory.open();
  const { authority } = await createMesh(temporary.path);
  const trust = new TrustIndex({ meshId: authority.meshId, now: () => NOW });
  const pairing = await authority.issuePairingLeaf({ now: NOW });

  // The operator's side of the QR code.
  const secret = new Secret(crypto.getRandomValues(new Uint8Array(16)));
  const { meshId, rootSpkiSha256 } = authority;
  const expiresAt = NOW + 295_000;
  const text = formatTicket({
    meshId,
    rootSpkiSha256,
    secret,
    expiresAt,
    addresses: [{ host: "192.0.2.10", port: 7420 }],
  });

  // The node: ticket, key, chain as it would come out of TLS.
  const ticket = parseTicket(text.toLowerCase(), { now: NOW });
  const keyPair = await KeyPair.generate();
  const shown = certificatesFromPem((await selfSignedCredentials(keyPair, { now: NOW })).chainPem);
  expect(shown).toHaveLength(1);
  const chain = judgeChain(certificatesFromPem(pairing.credentials.chainPem), {
    rootSpkiSha256: ticket.rootSpkiSha256,
    meshServerName: pairingServerName(ticket.meshId),
    now: NOW,
  });
  if (chain.kind === "refuse") throw new Error(chain.detail);

  let gateway = createGatewayPairing({ meshId, root: authority.rootDer });
  const toNode: PairToNode[] = [];
  const words: (readonly string[])[] = [];
  let issued: IssuedDeviceCertificate | undefined;
  const feed = async (input: GatewayPairingInput): Promise<void> => {
    const step = stepGateway(gateway, input);
    gateway = step.state;
    for (const effect of step.effects) await perform(effect);
  };
  const perform = async (effect: GatewayPairingEffect): Promise<void> => {
    const now = NOW;
    if (effect.kind === "send") toNode.push(effect.message);
    if (effect.kind === "fail") throw new Error(effect.code);
    if (effect.kind === "persist") await feed({ kind: "persisted", now, attemptId: effect.attemptId });
    if (effect.kind === "inspect-csr") {
      const { spkiSha256 } = await parseCsr(effect.csr);
      const finding: CsrFinding = { kind: "valid", spkiSha256, enrolment: { kind: "none" } };
      await feed({ kind: "csr-inspected", now, attemptId: effect.attemptId, finding });
    }
    if (effect.kind === "ask") {
      words.push(effect.request.words);
      await feed({ kind: "approve", now, requestId: effect.request.requestId, deviceId: DEVICE_ID });
    }
    if (effect.kind === "issue") {
      const { csr, deviceId, spkiSha256, requestId } = effect;
      issued = await authority.issueDeviceLeaf({ csr, deviceId, expectedSpkiSha256: spkiSha256, now });
      trust.enrol(deviceId, issued);
      const message = {
        type: "issued" as const,
        chain: [...issued.chain],
        deviceId,
        renewAfter: issued.renewAfter,
        addresses: ["192.0.2.10:7421"],
      };
      await feed({ kind: "issued", now, requestId, issued: message });
    }
    if (effect.kind === "code-ended") (effect.code.kind === "pin" ? effect.code.pin : effect.code.secret).erase();
  };
  const code = { kind: "ticket", codeId: codeIdOf(secret), secret } as const;
  await feed({ kind: "open", now: NOW, windowId: "w", codes: [code], expiresAt, uses: 1, preapproved: false });

  const root = chain.root;
  const csr = await createCsr(keyPair);
  const channel = { meshId: chain.meshId, nodeSpkiSha256: keyPair.spkiSha256, gatewaySpkiSha256: chain.spkiSha256 };
  const started = startNodePairing({
    code: { kind: "ticket", codeId: ticket.codeId, secret: ticket.secret },
    channel,
    root,
    name: "build-box",
    platform: { os: "linux", arch: "x64" },
    csr,
    now: NOW,
    ...drawNodeEntropy(),
  });
  const done: NodePairingEffect[] = [];
  let node = started.state;
  const pending = [...started.effects];
  while (pending.length > 0 || toNode.length > 0) {
    const effect = pending.shift();
    if (effect === undefined) {
      const message = toNode.shift();
      if (message === undefined) break;
      const step = stepNode(node, { kind: "message", now: NOW, message });
      node = step.state;
      pending.push(...step.effects);
      continue;
    }
    done.push(effect);
    if (effect.kind === "send" && "method" in effect.message) {
      const peer = {
        source: sourcePrefix("::ffff:192.0.2.57"),
        nodeSpkiSha256: keyPair.spkiSha256,
        gatewaySpkiSha256: pairing.spkiSha256,
      };
      await feed({
        kind: "hello",
        now: NOW,
        attemptId: "a",
        hello: effect.message,
        peer,
        entropy: drawAttemptEntropy(),
        deviceId: DEVICE_ID,
      });
    } else if (effect.kind === "send" && "type" in effect.message && effect.message.type === "prove") {
      await feed({ kind: "prove", now: NOW, attemptId: "a", prove: effect.message });
    } else if (effect.kind === "send") {
      await feed({ kind: "done", now: NOW, attemptId: "a" });
    } else if (effect.kind === "store") {
      const { deviceId, chain: given } = effect.issued;
      verifyIssuedChain({ chain: given, roots: [root], meshId, deviceId, spkiSha256: keyPair.spkiSha256, now: NOW });
      const step = stepNode(node, { kind: "stored" });
      node = step.state;
      pending.push(...step.effects);
    }
  }
  expect(node).toEqual({ kind: "paired", deviceId: DEVICE_ID });
  expect(done.map(({ kind }) => kind)).toEqual(["send", "send", "pin", "show-words", "store", "send", "paired"]);
  expect(done.find((effect) => effect.kind === "show-words")?.words).toEqual(words[0]);
  expect(meshNameOf(root)).toBe("harbor");
  expect(() => secret.reveal()).toThrow(TypeError);
  if (issued === undefined) throw new Error("nothing was issued");
  const peer = { chain: issued.chain, spkiSha256: issued.spkiSha256 };
  expect(trust.authorize(peer)).toMatchObject({ kind: "accept", deviceId: DEVICE_ID });
  trust.revoke(DEVICE_ID, 1);
  expect(trust.authorize(peer)).toMatchObject({ kind: "refuse", reason: "revoked" });
});
