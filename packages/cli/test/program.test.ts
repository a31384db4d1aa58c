import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { coveredTitle } from "../src/argv-secrets.ts";
import { buildProgram } from "../src/program.ts";
import { VERSION } from "../src/version.ts";
import packageJson from "../package.json" with { type: "json" };
import { fakeTerminal, runCommand } from "./support.ts";

const COLUMNS = 80;

/** Commands that are groups as well. */
const BOTH = new Set(["pair", "gateway backup", "gateway restore"]);

function leaves(command: Command, path: readonly string[]): readonly (readonly string[])[] {
  const inner = command.commands.flatMap((child) => leaves(child, [...path, child.name()]));
  return command.commands.length === 0 || BOTH.has(path.join(" ")) ? [path, ...inner] : inner;
}

const { terminal } = fakeTerminal();
const commands = leaves(
  buildProgram({ terminal, signal: new AbortController().signal, inherited: () => [], now: Date.now }),
  [],
);

describe("help", () => {
  test("there are the commands the guide names", () => {
    expect(
      commands
        .map((path) => path.join(" "))
        .sort()
        .join(", "),
    ).toBe(
      "device list, device revoke, device rotate, device show, device unfreeze, events quarantine, events subscribe, events subscriptions, events tail, events unsubscribe, gateway backup, gateway backup verify, gateway doctor, " +
        "gateway move, gateway reseal, gateway restore, gateway restore accept-loss, gateway root export, gateway root renew-issuing, gateway root rotate, gateway root show, " +
        "gateway run, gateway stats, gateway status, node doctor, node join, node leave, node run, node status, pair, pair approve, pair cancel, pair deny, pair list, " +
        "policy check, policy set, policy show, task cancel, task list, task run, task show",
    );
  });

  test.each(commands.map((path) => [path.join(" "), path] as const))(
    "of %s says what it does, shows examples and exit codes, takes --json and --state, and is 80 columns wide",
    async (_name, path) => {
      const { exit, stdout, stderr } = await runCommand([...path, "--help"]);
      expect(exit).toBe(0);
      expect(stderr).toBe("");
      for (const part of ["Examples:", "Exit codes:", "--json", "--state"]) expect(stdout).toContain(part);
      expect(stdout.split("\n").filter((line) => line.length > COLUMNS)).toEqual([]);
    },
  );

  test("of quaymesh itself fits one screen but for its last lines, and begins with what one does first", async () => {
    const { stdout } = await runCommand(["--help"]);
    expect(stdout.split("\n").filter((line) => line.length > COLUMNS)).toEqual([]);
    expect(stdout.split("\n").length).toBeLessThanOrEqual(30);
    expect(stdout).toContain("First steps:");
  });

  test("the version is the package's", async () => {
    expect(VERSION).toBe(packageJson.version);
    expect(await runCommand(["--version"])).toEqual({ exit: 0, stdout: `${VERSION}\n`, stderr: "" });
  });
});

describe("a wrong command line ends with 2, says so on stderr and leaves stdout empty", () => {
  test.each([
    [[], "No command was given."],
    [["device"], "That is only half a command."],
    [["device", "lst"], "Unknown command 'lst' (Did you mean list?)."],
    [["pair", "--ttl", "5x"], "Give a time such as 90s, 5m or"],
    [["pair", "--ttl", "2h"], "at most 3600 seconds"],
    [["pair", "--ttl", "8d"], "from 10 to 604800 seconds"],
    [["pair", "--uses", "2"], "Add --auto-approve"],
    [["pair", "--uses", "0"], "Give a number of devices"],
    [["pair", "--pin", "--auto-approve"], "eight digits can be guessed"],
    [["pair", "QUAYNODE:AAAA", "--scan", "x.png"], "Give one of them"],
    [["node", "join", "--show"], "--show needs the gateway's address"],
    [["node", "join", "--show", "QUAY:AAAA"], "--show needs the gateway's address"],
    [["pair", "--labels", "a,,b"], "none of them empty"],
    [["pair", "extra"], 'There is no "pair extra"'],
    [["gateway", "run", "--listen", "nowhere"], "Give HOST:PORT"],
    [["gateway", "run", "--log", "loud"], "Allowed choices are debug, info, warn, error"],
    [["events", "tail", "--after", "-1"], "Give a whole number from 0"],
    [["task", "run", "x", "--on", "nas"], "--on does not take"],
    [["node", "join"], "Nothing says where to join."],
    [["node", "join", "a:1", "--png", "x.png"], "A picture and a link or address were given."],
    [["device", "show"], "Missing required argument 'device'"],
    [["device", "list", "--jsn"], "Unknown option '--jsn'"],
  ])("quaymesh %j", async (args, message) => {
    const { exit, stdout, stderr } = await runCommand(args);
    expect(exit).toBe(2);
    expect(stdout).toBe("");
    expect(stderr.replaceAll(/\s+/gu, " ")).toContain(message);
    expect(stderr).toContain("(USAGE, exit 2)");
  });

  test("with --json the error is one line of JSON on stderr", async () => {
    const { exit, stdout, stderr } = await runCommand(["task", "run", "x", "--on", "nas", "--json"]);
    expect({ exit, stdout }).toEqual({ exit: 2, stdout: "" });
    expect(JSON.parse(stderr)).toMatchObject({
      error: { code: "USAGE", exit: 2, hint: expect.stringContaining("label:") },
    });
  });

  test("help is named for the command one got as far as", async () => {
    expect((await runCommand(["device", "lst"])).stderr).toContain("quaymesh device --help");
    expect((await runCommand(["pair", "list", "--wrong"])).stderr).toContain("quaymesh pair list --help");
  });
});

describe("what needs no gateway fails by itself", () => {
  test("a missing state directory has its own code and names the command that makes one", async () => {
    const { exit, stderr } = await runCommand(["device", "list", "--state", "/nonexistent/gw"]);
    expect(exit).toBe(30);
    expect(stderr).toContain("There is no gateway state directory at /nonexistent/gw.");
    expect(stderr).toContain("quaymesh gateway run --state /nonexistent/gw");
  });

  test("pair list takes --json for itself although pair has it too", async () => {
    const { exit, stderr } = await runCommand(["pair", "list", "--json", "--state", "/nonexistent/gw"]);
    expect(exit).toBe(30);
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: "STATE_MISSING" } });
  });

  test("an unreadable ticket is told from a usage error", async () => {
    expect(await runCommand(["node", "join", "QUAY:AAAA"])).toMatchObject({ exit: 10, stdout: "" });
    const address = await runCommand(["node", "join", "http://example"]);
    expect(address.exit).toBe(10);
    expect(address.stderr).toContain("neither a link nor an address");
  });

  test("where to join is asked for at a terminal: a link, an address, or nothing", async () => {
    const screen = { isTTY: true, keyboard: true };
    const asked = (typed: string) => runCommand(["node", "join"], { ...screen, typed });
    const link = await asked("QUAY:AAAA\n");
    expect(link.stderr).toContain("Link or address of the gateway (Enter: look on this network):");
    expect(link.stderr).toContain("(TICKET_MISTYPED, exit 10)");
    expect((await asked("http://example\n")).stderr).toContain("neither a link nor an address");
    expect((await asked("QUAYNODE:AAAA\n")).stderr).toContain("quaymesh pair -");
    expect((await runCommand(["node", "join", "-"], { ...screen, typed: "QUAY:AAAA\n" })).stderr).toContain("Link:");
  });

  test("a code that came as an argument is warned of, and one that came otherwise is not", async () => {
    const told = "may have seen that code in the list of processes";
    expect((await runCommand(["node", "join", "QUAY:AAAA"])).stderr).toContain(told);
    expect((await runCommand(["node", "join", "QUAY:AAAA", "--json"])).stderr).not.toContain(told);
    expect((await runCommand(["node", "join", "-"], { typed: "QUAY:AAAA\n" })).stderr).not.toContain(told);
    const scanned = await runCommand(["pair", "QUAYNODE:AAAA"]);
    expect(scanned.stderr).toContain(told);
    expect(scanned.stderr).toContain("from QUAYNODE: to its end");
    expect((await runCommand(["pair", "-"], { typed: "QUAYNODE:AAAA\n" })).stderr).not.toContain(told);
  });

  test("a code that came as an argument is covered in the list of processes", () => {
    expect(coveredTitle(["node", "join", "QUAY:AAAA", "--json"])).toBe("quaymesh node join … --json");
    expect(coveredTitle(["pair", "quaynode:aaaa"])).toBe("quaymesh pair …");
    expect(coveredTitle(["node", "join", "192.0.2.10"])).toBeUndefined();
  });

  test("a device's own code is not called an address, but sent to where it belongs", async () => {
    const { exit, stderr } = await runCommand(["node", "join", "QUAYNODE:AAAA"]);
    expect(exit).toBe(2);
    expect(stderr).toContain("paste it at the prompt of:  quaymesh pair -");
  });

  test("a PIN never comes from the command line, and an empty answer is a usage error", async () => {
    const { exit, stderr } = await runCommand(["node", "join", "192.0.2.10"]);
    expect(exit).toBe(2);
    expect(stderr).toContain("No answer to: PIN:");
  });

  test("input that is not JSON is refused before anything is asked of a gateway", async () => {
    const { exit, stderr } = await runCommand(["task", "run", "x", "--input", "hello", "--state", "/nonexistent"]);
    expect(exit).toBe(26);
    expect(stderr).toContain("Text needs its quotes");
  });
});
