import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { formatAddress, parseAddress } from "../src/address.ts";
import { closeText, refusalName } from "../src/close-name.ts";
import { stepJson } from "../src/commands/node-join.ts";
import { explain } from "../src/errors.ts";
import { execRule } from "../src/exec-rule.ts";
import { expandId } from "../src/operator.ts";
import { defaultNodeState, requireState } from "../src/state.ts";
import { taskInput, taskPlace } from "../src/task-input.ts";
import { loadDefinitions } from "../src/task-module.ts";
import { fromJson, toJson, withTimes } from "../src/ui/json.ts";
import { readLine, readSecret } from "../src/ui/secret.ts";
import { fakeTerminal } from "./support.ts";

let directory = "";
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "quaymesh-input-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

describe("addresses", () => {
  test.each([
    ["192.0.2.10:7420", { host: "192.0.2.10", port: 7420 }],
    ["[2001:db8::1]:7420", { host: "2001:db8::1", port: 7420 }],
    ["gate.example:0", { host: "gate.example", port: 0 }],
  ])("%s", (text, address) => {
    expect(parseAddress(text)).toEqual(address);
    expect(formatAddress(address)).toBe(text);
  });

  test("may leave out a port where there is a usual one", () => {
    expect(parseAddress("192.0.2.10", 7421)).toEqual({ host: "192.0.2.10", port: 7421 });
    expect(parseAddress("[::1]", 7421)).toEqual({ host: "::1", port: 7421 });
  });

  test.each(["", "192.0.2.10", "host:99999", "host:", ":1", "::1:7420", "http://host:1", "a b:1"])(
    "%j is none",
    (text) => expect(() => parseAddress(text)).toThrow("Give HOST:PORT"),
  );
});

describe("a secret at a terminal", () => {
  test("can be asked for twice: the second question is heard too, and neither answer is shown", async () => {
    const { terminal, stdin, stderr } = fakeTerminal({ isTTY: true, keyboard: true });
    const context = { terminal, signal: new AbortController().signal, inherited: () => [], now: Date.now };
    for (const typed of ["1111 1111", "4821 7093"]) {
      const answer = readSecret(context, "PIN: ");
      for (const keys of [typed, "\r"]) stdin.write(keys);
      expect(await answer).toBe(typed);
    }
    expect(stderr.text).toContain("PIN: █████████");
    expect(stderr.text).not.toContain("4821");
  });
});

describe("task input", () => {
  test("comes from the command line, a file or standard input", async () => {
    const file = join(directory, "in.json");
    await writeFile(file, '{"a":[1,"x"]}');
    const stdin = Readable.from([Buffer.from('{"b"'), Buffer.from(":null}")]);
    expect(await taskInput("[1]", stdin)).toEqual([1]);
    expect(await taskInput(`@${file}`, stdin)).toEqual({ a: [1, "x"] });
    expect(await taskInput("-", stdin)).toEqual({ b: null });
  });

  test("that is not there or not JSON has a code of its own", async () => {
    const stdin = Readable.from([]);
    await expect(taskInput("@/nonexistent.json", stdin)).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
    await expect(taskInput("{", stdin)).rejects.toMatchObject({ code: "INPUT_INVALID" });
    await expect(taskInput("-", stdin)).rejects.toMatchObject({ code: "INPUT_INVALID" });
  });

  test("carries bytes both ways", () => {
    const value = fc.letrec<{ any: unknown }>((tie) => ({
      any: fc.oneof(
        fc.integer(),
        fc.string(),
        fc.boolean(),
        fc.constant(null),
        fc.uint8Array(),
        fc.array(tie("any"), { maxLength: 4 }),
        fc.dictionary(
          fc.string().filter((key) => key !== "$bytes" && key !== "__proto__"),
          tie("any"),
          { maxKeys: 4, noNullPrototype: true },
        ),
      ),
    })).any;
    fc.assert(
      fc.property(value, (input) => {
        expect(fromJson(JSON.parse(JSON.stringify(toJson(input))))).toEqual(input);
      }),
    );
  });

  test.each([
    ["any", undefined],
    ["device:nas", { device: "nas" }],
    ["label:a:b", { label: "a:b" }],
  ])("--on %s", (text, place) => expect(taskPlace(text)).toEqual(place));

  test.each(["", "nas", "device:", "label", "node:x"])("--on %j is refused", (text) => {
    expect(() => taskPlace(text)).toThrow("--on does not take");
  });
});

describe("--allow-exec", () => {
  test("takes absolute paths, with or without any arguments", () => {
    expect(execRule("/usr/bin/uptime")).toEqual({ command: "uptime", path: "/usr/bin/uptime" });
    expect(execRule("/bin/ls=any")).toEqual({ command: "ls", path: "/bin/ls", args: "any" });
  });

  test.each(["uptime", "./run", "", "/"])("refuses %j, which PATH or the working directory would decide", (text) => {
    expect(() => execRule(text)).toThrow("absolute paths");
  });
});

describe("--tasks", () => {
  const schema = `{ "~standard": { version: 1, vendor: "test", validate: (value) => ({ value }) } }`;
  const load = async (name: string, source: string) => {
    const file = join(directory, name);
    await writeFile(file, source);
    return loadDefinitions(file);
  };

  test("loads what defineTask returned and leaves other exports alone", async () => {
    const definition = `{ name: "a.b", input: ${schema}, output: ${schema}, run: () => 1 }`;
    const [loaded] = await load("good.mjs", `export const a = ${definition}; export const other = 1;`);
    expect(loaded?.name).toBe("a.b");
  });

  test.each([
    ["none.mjs", "export const other = 1;", "exports no task definition"],
    ["broken.mjs", "export const = 1;", "cannot be loaded"],
    ["throws.mjs", "throw new Error('boom');", "cannot be loaded"],
    [
      "twice.mjs",
      `const d = { name: "a", input: ${schema}, output: ${schema}, run() {} }; export const a = d; export const b = { ...d };`,
      "defines a twice",
    ],
  ])("refuses %s", async (name, source, message) => {
    await expect(load(name, source)).rejects.toMatchObject({
      code: "DEFINITIONS_INVALID",
      message: expect.stringContaining(message),
    });
  });
});

describe("state directories", () => {
  test("a node's is apart from a gateway's, and XDG and the environment have their say", () => {
    expect(defaultNodeState({ QUAYMESH_NODE_STATE: "/var/lib/q" })).toBe("/var/lib/q");
    expect(defaultNodeState({ XDG_STATE_HOME: "/home/x/.state" })).toBe("/home/x/.state/quaymesh/node");
    expect(defaultNodeState({ XDG_STATE_HOME: "relative" })).toMatch(/\/\.local\/state\/quaymesh\/node$/u);
  });

  test("a missing one and one that is a file are told apart", async () => {
    const file = join(directory, "file");
    await writeFile(file, "");
    await expect(requireState(join(directory, "none"), "node")).rejects.toMatchObject({
      code: "STATE_MISSING",
      seen: [],
    });
    await expect(requireState(file, "node")).rejects.toMatchObject({
      code: "STATE_MISSING",
      seen: ["something else has that name"],
    });
    expect(await requireState(directory, "node")).toBe(directory);
  });
});

describe("ids", () => {
  const ids = ["01JD2Y7QK4M8N0P2R4T6V8X08F", "01JD2Y7QK4M8N0P2R4T6V8X07A"];
  const all = (): Promise<readonly string[]> => Promise.resolve(ids);

  test("as tables print them are found again", async () => {
    expect(await expandId("01JD…X08F", all)).toBe(ids[0]);
    expect(await expandId("01jd...x07a", all)).toBe(ids[1]);
  });

  test("that fit none or several are refused, anything else is left to the gateway", async () => {
    await expect(expandId("01JD…ZZZZ", all)).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(expandId("01…0…", all)).resolves.toBe("01…0…");
    await expect(expandId("0…X", () => Promise.resolve(["0AX", "0BX"]))).rejects.toThrow("more than one thing");
    expect(await expandId("build-box", () => Promise.reject(new Error("not asked")))).toBe("build-box");
  });
});

describe("what a refusal is called", () => {
  test("is the TLS standard's name", () => {
    const close = { kind: "transport", code: 0x12c, reason: "", byPeer: true } as const;
    expect(refusalName(close)).toBe("certificate_revoked");
    expect(refusalName({ ...close, byPeer: false })).toBeUndefined();
    expect(closeText(close)).toBe("refused by the peer with certificate_revoked (0x12c)");
    expect(
      explain(Object.assign(new Error("this device is revoked"), { code: "DEVICE_REVOKED", close })),
    ).toMatchObject({
      code: "DEVICE_REVOKED",
      exit: 17,
      refusedWith: "certificate_revoked",
      seen: ["refused by the peer with certificate_revoked (0x12c)"],
    });
  });

  test("details are facts a person can read, and nothing is said twice", () => {
    const error = Object.assign(new Error("not the gateway that was paired with"), {
      code: "GATEWAY_PIN_MISMATCH",
      details: { expectedRoot: "9f:2c", seenRoot: "41:0b" },
      cause: new Error("not the gateway that was paired with"),
    });
    expect(explain(error)).toMatchObject({ exit: 13, seen: ["expected root  9f:2c", "seen root  41:0b"] });
  });

  test("whoever is revoked is told the way back: the old key never gets in again", () => {
    const error = Object.assign(new Error("this device was revoked"), { code: "DEVICE_REVOKED" });
    expect(explain(error)).toMatchObject({ exit: 17, hint: expect.stringContaining("  quaymesh node leave\n") });
  });

  test("anything at all can be explained", () => {
    for (const thrown of [undefined, null, "text", 5, {}, new Error("")])
      expect(explain(thrown)).toMatchObject({ exit: 1, hint: expect.stringContaining("report it") });
  });
});

describe("lines from a pipe", () => {
  const { signal } = new AbortController();

  test("the first that is not empty is read", async () => {
    expect(await readLine(Readable.from([Buffer.from("\n\n4821 7093\r\nmore")]), signal)).toBe("4821 7093");
    expect(await readLine(Readable.from([]), signal)).toBe("");
  });

  test("waiting for one ends with the command", async () => {
    const stop = new AbortController();
    const reading = readLine(new Readable({ read() {} }), stop.signal);
    stop.abort(new Error("stopped"));
    await expect(reading).rejects.toThrow("stopped");
  });
});

describe("times in JSON", () => {
  test("a step of a join is named once, and its time is one too", () => {
    const deviceId = "01JD2Y7QK4M8N0P2R4T6V8X0ZA";
    const told = { step: "issued", deviceId, notAfter: "1970-01-01T00:00:00.000Z" };
    expect(stepJson({ kind: "issued", deviceId, notAfter: 0 })).toEqual(told);
    expect(stepJson({ kind: "stored" })).toEqual({ step: "stored" });
  });

  test("are RFC 3339, and null where there is none", () => {
    expect(withTimes({ a: 0, b: undefined, c: 1 }, ["a", "b"])).toEqual({
      a: "1970-01-01T00:00:00.000Z",
      b: null,
      c: 1,
    });
  });
});
