import { chmod, readdir, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { quaymesh, Running, startGateway, temporaryDirectory } from "./support.ts";

describe("a sealing key kept elsewhere", () => {
  it("opens the authority when it is named, and only then", { timeout: 240_000 }, async () => {
    await using directory = await temporaryDirectory();
    const [state, key] = [directory.path("gateway"), directory.path("elsewhere.key")];
    {
      await using _first = await startGateway(state);
    }
    await rename(join(state, "authority.key"), key);
    const without = await quaymesh(["gateway", "run", "--state", state, "--listen", "127.0.0.1:0", "--json"]);
    expect([without.exit, without.error?.code]).toEqual([35, "AUTHORITY_UNREADABLE"]);
    await using again = await startGateway(state, "--sealing-key", key);
    expect(again.address).toMatch(/^127\.0\.0\.1:\d+$/);
  });
});

describe("other seals than a key file", () => {
  const passphrase = "seven quiet boats at the quay";

  it(
    "a passphrase, a key kept elsewhere and a credential open the same mesh by turns",
    { timeout: 240_000 },
    async () => {
      await using directory = await temporaryDirectory();
      const [state, secret, key] = ["gateway", "secret", "quaymesh-sealing-key"].map((name) => directory.path(name));
      if (state === undefined || secret === undefined || key === undefined) throw new Error("no paths");
      await writeFile(secret, `${passphrase}\n`, { mode: 0o600 });
      const meshOf = async (...more: readonly string[]): Promise<unknown> => {
        await using gateway = await startGateway(state, ...more);
        return (await gateway.running.line((line) => line["ready"] === true))["meshId"];
      };
      const mesh = await meshOf();
      const reseal = (...more: readonly string[]) =>
        quaymesh(["gateway", "reseal", "--state", state, "--json", ...more]);
      const start = (...more: readonly string[]) =>
        quaymesh(["gateway", "run", "--state", state, "--listen", "127.0.0.1:0", "--json", ...more]);

      expect((await reseal("--to-passphrase-file", secret)).exit).toBe(0);
      expect(await readdir(state)).not.toContain("authority.key");
      const asked = await start();
      expect([asked.exit, asked.error?.code]).toEqual([35, "PASSPHRASE_NEEDED"]);
      const wrong = await quaymesh(
        ["gateway", "run", "--state", state, "--listen", "127.0.0.1:0", "--json", "--passphrase-file", "-"],
        { input: "eight quiet boats at the quay\n" },
      );
      expect([wrong.exit, wrong.error?.code]).toEqual([35, "PASSPHRASE_WRONG"]);
      expect(wrong.stderr).not.toContain("    at ");
      expect(wrong.stderr).not.toContain("boats");
      expect(await meshOf("--passphrase-file", secret)).toBe(mesh);

      expect((await reseal("--passphrase-file", secret, "--to-key", key)).exit).toBe(0);
      const without = await start();
      expect([without.exit, without.error?.code]).toEqual([35, "AUTHORITY_UNREADABLE"]);
      expect(await meshOf("--sealing-key", key)).toBe(mesh);
      {
        // Found by itself, as systemd hands it over: with bits that an ACL explains.
        await chmod(key, 0o440);
        const args = ["gateway", "run", "--state", state, "--listen", "127.0.0.1:0", "--pairing-listen", "127.0.0.1:0"];
        await using gateway = new Running(args, { env: { CREDENTIALS_DIRECTORY: dirname(key) } });
        expect((await gateway.line((line) => line["ready"] === true))["meshId"]).toBe(mesh);
        const busy = await reseal("--to-key");
        expect([busy.exit, busy.error?.code]).toEqual([33, "GATEWAY_ALREADY_RUNNING"]);
      }
    },
  );

  it(
    "a new mesh is sealed with a passphrase from its first start, and a short one is refused",
    { timeout: 240_000 },
    async () => {
      await using directory = await temporaryDirectory();
      const [state, secret] = [directory.path("gateway"), directory.path("secret")];
      await writeFile(secret, passphrase, { mode: 0o600 });
      {
        await using _first = await startGateway(state, "--passphrase-file", secret);
      }
      expect(await readdir(state)).not.toContain("authority.key");
      const short = await quaymesh(
        ["gateway", "reseal", "--state", state, "--json", "--passphrase-file", secret, "--to-passphrase-file", "-"],
        {
          input: "short\n",
        },
      );
      expect([short.exit, short.error?.code]).toEqual([26, "INPUT_INVALID"]);
      await chmod(secret, 0o644);
      const open = await quaymesh(["gateway", "run", "--state", state, "--json", "--passphrase-file", secret]);
      expect([open.exit, open.error?.code]).toEqual([4, "STORE_PERMISSIONS"]);
    },
  );
});
