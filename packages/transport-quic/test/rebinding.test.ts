import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { CLOSE_CODES } from "@quaymesh/protocol";
import type { ByteStream, Connection } from "@quaymesh/protocol";
import { MAX_PATHS } from "../src/config.ts";
import { accept, nextStream, openMesh, readAll, serveEcho } from "./support/mesh.ts";
import { NarrowClient } from "./support/narrow-client.ts";
import type { LeftPort } from "./support/narrow-client.ts";

// RFC 9000 section 9: a client behind a NAT changes its port without knowing it, and whatever library it uses, the gateway follows.

const libraries = [
  { name: "without connection ids", idBytes: 0, receiveBytes: 1452 },
  { name: "with one connection id", idBytes: 8, receiveBytes: 1452 },
];

const transports = [
  { where: "on this machine", transport: {} },
  { where: "off the machine", transport: { datagramBytes: 1350 } },
];

const open = async (library: (typeof libraries)[number], transport = {}) => {
  const mesh = await openMesh({ transport });
  const accepted = accept(mesh.listener);
  const client = await NarrowClient.connect(mesh, library);
  const gateway = await accepted;
  return {
    client,
    gateway,
    [Symbol.asyncDispose]: async () => {
      await client[Symbol.asyncDispose]();
      await mesh[Symbol.asyncDispose]();
    },
  };
};

const echoOf = async (client: NarrowClient, text: string): Promise<string> =>
  (await client.read(client.send(text))).toString();

describe.each(libraries)("a client $name", (library) => {
  describe.each(transports)("$where", ({ transport }) => {
    test.each<LeftPort>(["closed", "dead", "heard"])(
      "is answered at its new port though the old one is %s",
      async (left) => {
        await using session = await open(library, transport);
        const { client, gateway } = session;
        void serveEcho(gateway);
        expect(await echoOf(client, "before")).toBe("before");
        await client.rebind(left);
        expect(await echoOf(client, "after")).toBe("after");
        expect(gateway.remoteAddress.port).toBe(client.port);
        expect(await echoOf(client, "and on")).toBe("and on");
        expect(client.oversized).toBe(0);
      },
    );
  });

  test("is followed from port to port", async () => {
    await using session = await open(library);
    const { client, gateway } = session;
    void serveEcho(gateway);
    for (let round = 0; round < 20; round += 1) {
      await client.rebind("closed");
      expect(await echoOf(client, `round ${round}`)).toBe(`round ${round}`);
      expect(gateway.remoteAddress.port).toBe(client.port);
    }
  });

  test("that was silent is told news at the port its keep-alive comes from", async () => {
    await using session = await open(library);
    const { client, gateway } = session;
    const id = client.send("subscribe");
    const stream = await nextStream(gateway);
    await readAll(stream);
    await client.rebind("dead");
    client.ping();
    await isAt(gateway, client.port);
    await stream.end(Buffer.from("news"));
    expect((await client.read(id)).toString()).toBe("news");
  });

  test("gets the whole of what the gateway was sending when its port changed", async () => {
    await using session = await open(library);
    const { client, gateway } = session;
    const bytes = randomBytes(4_000_000);
    const id = client.send("give");
    const stream = await nextStream(gateway);
    await readAll(stream);
    const sending = stream.end(bytes);
    let moved = false;
    const got = await client.read(id, (length) => {
      if (moved || length < 1_000_000) return undefined;
      moved = true;
      return client.rebind("dead").then(() => client.ping());
    });
    expect(Buffer.compare(got, bytes)).toBe(0);
    await sending;
  });

  test("gets a large echo whole whose both halves were on their way when its port changed", async () => {
    await using session = await open(library);
    const { client, gateway } = session;
    const bytes = randomBytes(3_000_000);
    const id = client.send(bytes);
    const stream = await nextStream(gateway);
    const serving = pipeBack(stream);
    let moves = 0;
    const got = await client.read(id, (length) => {
      if (moves === 3 || length < (moves + 1) * 700_000) return undefined;
      moves += 1;
      return client.rebind("dead").then(() => client.ping());
    });
    expect(moves).toBe(3);
    expect(Buffer.compare(got, bytes)).toBe(0);
    await serving;
  });

  test("is sent away, not left unheard, when it has had more addresses than quiche keeps", async () => {
    await using session = await open(library);
    const { client, gateway } = session;
    void serveEcho(gateway);
    const change = async (): Promise<string> => {
      // A closed port might be given to it a second time.
      await client.rebind("dead");
      return echoOf(client, "still here");
    };
    // The last place but one: its first address has the first.
    for (let places = 2; places < MAX_PATHS; places += 1) expect(await change()).toBe("still here");
    await expect(change()).rejects.toThrow("the connection is over");
    expect(await gateway.closed).toStrictEqual({
      kind: "application",
      code: CLOSE_CODES.ok,
      reason: "too many addresses",
      byPeer: false,
    });
  });
});

const pipeBack = async (stream: ByteStream): Promise<void> => {
  for (let chunk = await stream.read(); chunk !== null; chunk = await stream.read()) await stream.write(chunk);
  await stream.end();
};

const isAt = async (gateway: Connection, port: number): Promise<void> => {
  while (gateway.remoteAddress.port !== port) await new Promise(setImmediate);
};
