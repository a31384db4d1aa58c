import { SERVER_AUTH, createAuthority } from "./support/certificates.ts";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { open } from "node:fs/promises";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { createQuicTransport } from "@quaymesh/transport-quic";
import { bindForChild } from "./support/inherit.ts";
import { ask, openMesh } from "./support/mesh.ts";

const CHILD = fileURLToPath(new URL("support/inheriting-child.ts", import.meta.url));

interface Told {
  readonly addresses?: readonly {
    readonly host: string;
    readonly port: number;
    readonly asked: { readonly fd: number };
  }[];
  readonly code?: string;
  readonly message?: string;
}

/** A process that listens on descriptors it inherited from this one. */
async function startChild(
  inherited: readonly number[],
  options: { readonly systemCalls?: "auto" | "plain"; readonly listen?: readonly number[] } = {},
) {
  const authority = await createAuthority();
  const gateway = await authority.issue("gateway", { usage: SERVER_AUTH });
  const child = spawn(process.execPath, ["-C", "@quaymesh/source", CHILD], {
    stdio: ["pipe", "pipe", "inherit", ...inherited],
  });
  const exited = once(child, "exit");
  const fds = options.listen ?? inherited.map((_fd, index) => 3 + index);
  child.stdin?.end(
    JSON.stringify({ fds, ...gateway, anchorsPem: authority.anchorsPem, systemCalls: options.systemCalls ?? "auto" }),
  );
  if (child.stdout === null) throw new Error("the child has no output");
  let told: Told = {};
  for await (const line of createInterface({ input: child.stdout })) {
    told = JSON.parse(line) as Told;
    break;
  }
  return {
    told,
    authority,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGTERM");
      await exited;
    },
  };
}

test.each(["auto", "plain"] as const)(
  "listens on sockets of both families that another process bound (%s system calls)",
  async (systemCalls) => {
    await using four = await bindForChild("127.0.0.1");
    await using six = await bindForChild("::1");
    await using child = await startChild([four.fd, six.fd], { systemCalls });
    expect(child.told.addresses).toEqual([
      { host: "127.0.0.1", port: four.port, asked: { fd: 3 } },
      { host: "::1", port: six.port, asked: { fd: 4 } },
    ]);
    const { anchorsPem } = child.authority;
    await using mesh = await openMesh();
    const credentials = await child.authority.issue("node");
    for (const { host, port } of child.told.addresses ?? []) {
      const options = { credentials, trust: { kind: "anchored", anchorsPem } } as const;
      await using node = await mesh.dial({ host, port, ...options });
      expect(await ask(node, Buffer.from("hello"))).toEqual(new Uint8Array(Buffer.from("hello")));
    }
  },
);

test("a socket that is listed twice is listened on once", async () => {
  await using one = await bindForChild("127.0.0.1");
  await using other = await bindForChild("127.0.0.1");
  await using child = await startChild([one.fd, other.fd], { listen: [3, 4, 3] });
  expect(child.told.addresses).toEqual([
    { host: "127.0.0.1", port: one.port, asked: { fd: 3 } },
    { host: "127.0.0.1", port: other.port, asked: { fd: 4 } },
  ]);
});

test("a socket for both families that was bound by another process serves both", async () => {
  await using both = await bindForChild("::");
  await using child = await startChild([both.fd]);
  await using mesh = await openMesh();
  const credentials = await child.authority.issue("node");
  const { anchorsPem } = child.authority;
  for (const host of ["127.0.0.1", "::1"]) {
    const options = { credentials, trust: { kind: "anchored", anchorsPem } } as const;
    await using node = await mesh.dial({ host, port: both.port, ...options });
    expect(await ask(node, Buffer.from("hi"))).toHaveLength(2);
  }
});

test("a descriptor that is no bound UDP socket is told apart from a bound one, and frees the others", async () => {
  await using good = await bindForChild("127.0.0.1");
  await using file = await open("/dev/null");
  await using child = await startChild([good.fd, file.fd]);
  expect(child.told.code).toBe("ADDRESS_UNAVAILABLE");
  expect(child.told.message).toMatch(/file descriptor 4 \(it is not a socket but \/dev\/null\)/u);
  const missing = createQuicTransport().listen({
    address: { fd: 65_000 },
    protocol: "x",
    credentials: { keyPem: "", chainPem: "" },
    trust: { kind: "judged", authorize: () => ({ kind: "accept" }) },
  });
  await expect(missing).rejects.toMatchObject({
    code: "ADDRESS_UNAVAILABLE",
    message: expect.stringContaining("file descriptor 65000 (no such descriptor is open in this process)") as string,
  });
});
