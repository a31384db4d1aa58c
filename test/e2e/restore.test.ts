import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { pairNode, quaymesh, Running, startGateway, temporaryDirectory, type Line } from "./support.ts";

/** A whole disaster: everything after the backup is lost, and nothing of it silently. */
describe("a gateway restored from a backup that is older than what its nodes have seen", () => {
  it("serves nobody until the loss is accepted, and then comes right", { timeout: 300_000 }, async () => {
    await using directory = await temporaryDirectory();
    const [state, lost, node, other] = ["gateway", "lost", "node", "other"].map((name) => directory.path(name)) as [
      string,
      string,
      string,
      string,
    ];
    const [backup, secret] = [directory.path("b.qmbk"), directory.path("secret")];
    await writeFile(secret, "five quiet boats at anchor\n", { mode: 0o600 });
    const on = (...args: readonly string[]) => quaymesh([...args, "--state", state, "--json"]);

    // Pair two, publish, back up while it runs, publish more, revoke one.
    let address: string;
    {
      await using gateway = await startGateway(state);
      address = gateway.address;
      const device = await pairNode(state, node, "stays");
      await pairNode(state, other, "goes");
      await using running = new Running(["node", "run", "--state", node, "--allow-exec", "/usr/bin/true"]);
      await running.line((line) => line["state"] === "online");
      await runTask(state, device);
      const made = await on("gateway", "backup", "--to", backup, "--backup-passphrase-file", secret);
      expect([made.exit, made.stderr]).toEqual([0, ""]);
      await runTask(state, device);
      const revoked = await on("device", "revoke", "goes", "--yes");
      expect(revoked.exit).toBe(0);
      // The node is told within moments; what it has on disk then is what it will show.
      await seen(node, (checkpoint) => checkpoint["revocationEpoch"] === 1);
      await gateway.running.end("SIGKILL");
    }
    await rename(state, lost);

    const verified = await quaymesh([
      "gateway",
      "backup",
      "verify",
      backup,
      "--backup-passphrase-file",
      secret,
      "--json",
    ]);
    expect([verified.exit, lineOf(verified.stdout)["verified"]]).toEqual([0, true]);
    const restored = await on("gateway", "restore", backup, "--backup-passphrase-file", secret);
    expect([restored.exit, lineOf(restored.stdout)["devices"]]).toEqual([0, 2]);

    {
      await using gateway = await startGateway(state, "--listen", address);
      await using running = new Running(["node", "run", "--state", node, "--allow-exec", "/usr/bin/true"]);
      const waiting = await running.line((line) => line["state"] === "waiting");
      expect(JSON.stringify(waiting)).toContain("GATEWAY_BEHIND");
      const status = lineOf((await on("gateway", "status")).stdout);
      expect(status["behind"]).toMatchObject({ seenRevocationEpoch: 1, revocationEpoch: 0 });
      const window = await on("pair", "--name", "nobody");
      expect([window.exit, window.error?.code]).toEqual([39, "STORE_BEHIND"]);
      const task = await on("task", "run", "exec", "--input", JSON.stringify({ command: "true" }));
      expect([task.exit, task.error?.code]).toEqual([39, "STORE_BEHIND"]);
      const stopping = await on("gateway", "restore", "accept-loss", "--yes");
      expect([stopping.exit, stopping.error?.code]).toEqual([33, "GATEWAY_ALREADY_RUNNING"]);
      await gateway.running.end();
    }

    const accepted = lineOf((await on("gateway", "restore", "accept-loss", "--yes")).stdout);
    expect(accepted).toMatchObject({ era: 1, revokedAgain: ["goes"], unknownRevocations: 0 });
    {
      await using _gateway = await startGateway(state, "--listen", address);
      await using running = new Running(["node", "run", "--state", node, "--allow-exec", "/usr/bin/true"]);
      await running.line((line) => line["state"] === "online");
      await using gone = new Running(["node", "run", "--state", other]);
      const refused = await gone.ended();
      expect(refused.error?.code).toBe("DEVICE_REVOKED");
      const id = String(lineOf((await on("device", "show", "stays")).stdout)["id"]);
      await runTask(state, id);
      // What it had acknowledged and the gateway lacks is said, and what followed has arrived.
      expect((await running.end()).stderr).toContain("outbox.renumbered");
    }
    await rm(lost, { recursive: true });
  });
});

async function runTask(state: string, device: string): Promise<void> {
  const input = JSON.stringify({ command: "true" });
  const done = await quaymesh([
    "task",
    "run",
    "exec",
    "--on",
    `device:${device}`,
    "--input",
    input,
    "--state",
    state,
    "--json",
  ]);
  if (done.exit !== 0) throw new Error(`the task ended with ${done.exit}: ${done.stderr} ${done.stdout}`);
}

function lineOf(stdout: string): Line {
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "{}") as Line;
}

/** Wait until the node's own file says so. */
async function seen(node: string, wanted: (checkpoint: Line) => boolean): Promise<void> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const text = await readFile(join(node, "seen"), "utf8").catch(() => "{}");
    if (wanted(JSON.parse(text) as Line)) return;
    if (performance.now() > deadline) throw new Error(`the node has seen no more than ${text}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 50);
    });
  }
}
