import { once } from "node:events";
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawn } from "node:child_process";
import { describe, expect, test } from "vitest";
import { AdminSocket, MAX_SOCKET_PATH_BYTES } from "../../src/api/admin-socket.ts";
import type { RequestListener } from "../../src/api/request-listener.ts";
import { serveFakes } from "./fake-services.ts";

const nothing: RequestListener = (request) => {
  request.socket.destroy();
};

async function temporary(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "quaymesh-socket-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

describe("the admin socket", () => {
  test("is for its owner alone", async () => {
    await using api = await serveFakes();
    expect((await stat(api.path)).mode & 0o777).toBe(0o600);
  });

  test("is removed when it closes", async () => {
    await using directory = await temporary();
    const socket = await AdminSocket.listen(join(directory.path, "s"), nothing);
    await socket.close();
    await socket.close();
    expect(await readdir(directory.path)).toEqual([]);
  });

  test("a connection that pipelines more calls than it may have is closed: those that wait would take memory without end", async () => {
    await using directory = await temporary();
    let begun = 0;
    await using socket = await AdminSocket.listen(join(directory.path, "s"), () => {
      begun += 1;
    });
    const client = connect(socket.path);
    client.resume();
    client.write("GET / HTTP/1.1\r\nHost: q\r\n\r\n".repeat(300));
    await once(client, "close");
    expect(begun).toBeLessThanOrEqual(256);
  });

  test("replaces a file that a killed process left behind", async () => {
    await using directory = await temporary();
    const path = join(directory.path, "s");
    const script = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => console.log("up"))`;
    const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout, "data");
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(await readdir(directory.path)).toEqual(["s"]);
    await using socket = await AdminSocket.listen(path, nothing);
    const client = connect(socket.path);
    await once(client, "connect");
    client.destroy();
  });

  test("does not take the place of one that answers", async () => {
    await using directory = await temporary();
    const path = join(directory.path, "s");
    const other = createServer().listen(path);
    await once(other, "listening");
    await expect(AdminSocket.listen(path, nothing)).rejects.toMatchObject({ code: "ADMIN_SOCKET_IN_USE" });
    const client = connect(path);
    await once(client, "connect");
    client.destroy();
    other.close();
    await once(other, "close");
  });

  test("does not replace a file that is no socket's", async () => {
    await using directory = await temporary();
    const path = join(directory.path, "s");
    await writeFile(path, "precious");
    await expect(AdminSocket.listen(path, nothing)).rejects.toMatchObject({ code: "ADMIN_SOCKET_FAILED" });
    expect(await readdir(directory.path)).toEqual(["s"]);
  });

  test("says so when its path is longer than the kernel takes", async () => {
    await using directory = await temporary();
    const long = join(directory.path, "x".repeat(MAX_SOCKET_PATH_BYTES - directory.path.length));
    expect(Buffer.byteLength(long)).toBe(MAX_SOCKET_PATH_BYTES + 1);
    await expect(AdminSocket.listen(long, nothing)).rejects.toMatchObject({ code: "ADMIN_SOCKET_PATH_TOO_LONG" });
    expect(await readdir(directory.path)).toEqual([]);
    await using fits = await AdminSocket.listen(long.slice(0, -1), nothing);
    expect(await readdir(directory.path)).toHaveLength(1);
    expect(fits.path).toHaveLength(MAX_SOCKET_PATH_BYTES);
  });
});
