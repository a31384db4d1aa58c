#!/usr/bin/env node
// Plain old JavaScript on purpose: an unsupported Node must get far enough to say so in one line.
import { existsSync, mkdirSync, statSync } from "fs";
import { spawn } from "child_process";
import Module from "module";
import { homedir } from "os";
import { dirname, isAbsolute, join } from "path";
import { fileURLToPath, pathToFileURL } from "url";

var NEEDED = "^24.16.0 || >=26.1.0";
var SOURCE_CONDITION = "@quaymesh/source";

function isSupported(version) {
  var parts = version.split(".");
  var major = Number(parts[0]);
  var minor = Number(parts[1]);
  if (major === 24) return minor >= 16;
  if (major === 26) return minor >= 1;
  return major > 26;
}

function isOursAlone(directory) {
  var found = statSync(directory);
  return found.isDirectory() && found.uid === process.getuid() && (found.mode & 0o022) === 0;
}

function cacheHome() {
  var named = process.env.XDG_CACHE_HOME;
  // The XDG specification: a relative value is invalid and ignored.
  return named && isAbsolute(named) ? named : join(homedir(), ".cache");
}

function checkoutCache() {
  return fileURLToPath(new URL("../../../node_modules/.cache", import.meta.url));
}

// Compiled code is kept for the next start, which then takes half the time. It is run as it was kept, so never from where somebody else could write, such as the temporary
// directory that Node would choose. Without a fit place there is no cache.
function keepCompiledCode(findHome) {
  try {
    if (typeof Module.enableCompileCache !== "function" || typeof process.getuid !== "function") return;
    if (process.env.NODE_COMPILE_CACHE) return;
    var home = findHome();
    var directory = join(home, "quaymesh");
    if (!isOursAlone(dirname(home))) return;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (isOursAlone(home) && isOursAlone(directory)) Module.enableCompileCache(directory);
  } catch {
    // Slower, not wrong.
  }
}

function load(entry) {
  import(pathToFileURL(entry).href).catch(function (error) {
    process.stderr.write("quaymesh: this installation is incomplete: " + error.message + "\n");
    process.exit(1);
  });
}

// A checkout runs its sources, whatever an earlier build left behind; a published package has no sources.
function startAgainForSource() {
  if (process.env.LISTEN_FDS && Number(process.env.LISTEN_PID) === process.pid) {
    // Node marks what it inherits to be closed when it starts another program.
    process.stderr.write(
      "quaymesh: in a checkout, sockets from systemd get lost when it starts itself again. Start it with:  node -C " +
        SOURCE_CONDITION +
        " " +
        fileURLToPath(import.meta.url) +
        " (exit 2)\n",
    );
    process.exit(2);
  }
  var args = process.execArgv.concat(["-C", SOURCE_CONDITION, fileURLToPath(import.meta.url)], process.argv.slice(2));
  if (process.platform !== "win32" && typeof process.execve === "function") {
    // The same process goes on: signals, exit codes and the terminal need no forwarding.
    process.execve(process.execPath, [process.execPath].concat(args), process.env);
  }
  var child = spawn(process.execPath, args, { stdio: "inherit" });
  ["SIGINT", "SIGTERM", "SIGHUP"].forEach(function (name) {
    process.on(name, function () {
      child.kill(name);
    });
  });
  child.on("error", function (error) {
    process.stderr.write("quaymesh: cannot start " + process.execPath + ": " + error.message + "\n");
    process.exit(1);
  });
  child.on("exit", function (code, signal) {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

if (!isSupported(process.versions.node)) {
  process.stderr.write("quaymesh needs Node " + NEEDED + " and found " + process.versions.node + " (exit 2)\n");
  process.exit(2);
}
var source = fileURLToPath(new URL("../src/start.ts", import.meta.url));
if (!existsSync(source)) {
  keepCompiledCode(cacheHome);
  load(fileURLToPath(new URL("../dist/start.js", import.meta.url)));
} else if (process.execArgv.indexOf(SOURCE_CONDITION) >= 0) {
  keepCompiledCode(checkoutCache);
  load(source);
} else {
  startAgainForSource();
}
