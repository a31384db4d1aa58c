#!/usr/bin/env node
// Plain old JavaScript on purpose: an unsupported Node must get far enough to say so in one line.
import { existsSync } from "fs";
import { spawn } from "child_process";
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

// A checkout runs its sources, whatever an earlier build left behind; a published package has no sources.
function startFromSource(entry) {
  var args = process.execArgv.concat(["-C", SOURCE_CONDITION, entry], process.argv.slice(2));
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
if (existsSync(source)) {
  startFromSource(source);
} else {
  import(pathToFileURL(fileURLToPath(new URL("../dist/start.js", import.meta.url))).href).catch(function (error) {
    process.stderr.write("quaymesh: this installation is incomplete: " + error.message + "\n");
    process.exit(1);
  });
}
