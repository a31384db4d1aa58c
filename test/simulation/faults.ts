/** Makes faults happen at their time, and end. */
import type { SimDisk } from "./disk.ts";
import type { SimGateway } from "./actors/gateway.ts";
import type { SimNode } from "./actors/node.ts";
import type { SimReader } from "./actors/reader.ts";
import { CALM, type Path } from "./net/path.ts";
import type { Fault } from "./plan.ts";
import type { Machine } from "./process.ts";
import type { World } from "./world.ts";

/** How long a gateway that was told to stop may take. */
const STOP_TIMEOUT_MS = 30_000;
/** What it has begun to commit it waits for, one after the other: on a disk that takes a minute for each, that long. */
const COMMITS_AT_STOP = 4;

/** A program on a machine, as faults see it. */
export type Inhabitant = Pick<SimNode, "isDown" | "start" | "crash" | "stop">;

/** One machine, and what leads to it. */
export interface Site {
  readonly machine: Machine;
  readonly node: Inhabitant;
  readonly disk: SimDisk;
  readonly path: Path;
}

/** What faults happen to. */
export interface Scene {
  readonly world: World;
  readonly gateway: SimGateway;
  readonly gatewayMachine: Machine;
  readonly sites: readonly Site[];
  readonly readers: readonly SimReader[];
  /** Something happened that honest programs do not come to. */
  readonly onError: (what: string, cause: unknown) => void;
  /** A node is about to die. */
  readonly onNodeCrash: (site: Site, how: "kill" | "power-cut") => void;
  /** Its disk is about to be copied. @returns whether there is anything to copy */
  readonly onImage: (site: Site) => boolean;
  /** Its disk was put back. */
  readonly onPutBack: (site: Site) => void;
}

/** Plan `faults`. */
export function arrange(faults: readonly Fault[], scene: Scene): void {
  const slowest = Math.max(0, ...faults.map((fault) => (fault.kind === "store-slow" ? fault.commitMs : 0)));
  const stopMs = STOP_TIMEOUT_MS + COMMITS_AT_STOP * slowest;
  for (const fault of faults) {
    if (fault.kind === "restore") scene.world.after(fault.imageAt, () => takeImage(scene, fault.node));
    scene.world.after(fault.at, () => scene.world.inSteps(fault.steps, () => strike(fault, scene, stopMs)));
  }
}

/** Everything that may still be wrong is over. */
export function calm({ sites, gateway }: Scene): void {
  gateway.weather.full = false;
  gateway.weather.commitMs = 3;
  for (const { path, disk } of sites) {
    path.weather = CALM;
    path.block("to-gateway", false);
    path.block("to-node", false);
    disk.heal();
  }
}

function strike(fault: Fault, scene: Scene, stopMs: number): void {
  switch (fault.kind) {
    case "gateway-crash":
    case "gateway-drain":
      return stopGateway(fault, scene, stopMs);
    case "store-full":
      scene.gateway.weather.full = true;
      return later(fault, scene, () => (scene.gateway.weather.full = false));
    case "store-slow":
      scene.gateway.weather.commitMs = fault.commitMs;
      return later(fault, scene, () => (scene.gateway.weather.commitMs = 3));
    case "endpoint-crash":
      return scene.gateway.crashEndpoint();
    case "reader-crash":
      scene.readers[fault.reader]?.crash();
      return later(fault, scene, () => scene.readers[fault.reader]?.restart());
    case "clock-jump": {
      const machine = fault.machine === "gateway" ? scene.gatewayMachine : scene.sites[fault.machine]?.machine;
      if (machine !== undefined) machine.wallOffsetMs += fault.byMs;
      return undefined;
    }
    default:
      return strikeSite(fault, scene);
  }
}

function strikeSite(fault: Extract<Fault, { readonly node: number }>, scene: Scene): void {
  const site = scene.sites[fault.node];
  if (site === undefined) return;
  const { path, disk } = site;
  switch (fault.kind) {
    case "cut":
      return path.cut();
    case "block": {
      const ways = fault.way === "both" ? (["to-gateway", "to-node"] as const) : [fault.way];
      for (const way of ways) path.block(way, true);
      return later(fault, scene, () => {
        for (const way of ways) path.block(way, false);
      });
    }
    case "weather":
      path.weather = fault.weather;
      return later(fault, scene, () => (path.weather = CALM));
    case "node-crash":
      return crashNode(fault, site, scene);
    case "restore":
      return restore(fault, site, scene);
    case "node-stop":
      return stopNode(fault, site, scene);
    case "disk":
      return disk.fault(fault.fault);
    case "disk-full":
      disk.full = true;
      return later(fault, scene, () => (disk.full = false));
    case "disk-slow":
      disk.slow = fault.factor;
      return later(fault, scene, () => (disk.slow = 1));
    default:
      return fault satisfies never;
  }
}

function stopGateway(
  fault: Extract<Fault, { kind: "gateway-crash" | "gateway-drain" }>,
  scene: Scene,
  stopMs: number,
): void {
  const { gateway } = scene;
  const { process } = gateway;
  if (process?.alive !== true) return;
  const up = (): void => {
    gateway.crash();
    later(fault, scene, () => gateway.start());
  };
  // One that has not started yet cannot say goodbye.
  if (fault.kind === "gateway-crash" || gateway.core === undefined) return up();
  const ended = (): void => {
    if (process.alive) up();
  };
  gateway.drain().then(ended, (cause: unknown) => {
    scene.onError("the gateway did not stop in good order", cause);
    ended();
  });
  // As a service manager does, which then kills it.
  scene.world.after(stopMs, () => {
    if (!process.alive) return;
    scene.onError("the gateway did not stop in time", gateway.core);
    ended();
  });
}

function crashNode(fault: Extract<Fault, { kind: "node-crash" }>, site: Site, scene: Scene): void {
  if (site.node.isDown) return;
  scene.onNodeCrash(site, fault.how);
  site.node.crash(fault.how);
  later(fault, scene, () => site.node.start());
}

function takeImage(scene: Scene, node: number): void {
  const site = scene.sites[node];
  if (site !== undefined && scene.onImage(site)) site.disk.takeImage();
}

function restore(fault: Extract<Fault, { kind: "restore" }>, site: Site, scene: Scene): void {
  if (site.node.isDown) return;
  scene.onNodeCrash(site, "kill");
  site.node.crash("kill");
  site.disk.putBack();
  scene.onPutBack(site);
  later(fault, scene, () => site.node.start());
}

function stopNode(fault: Extract<Fault, { kind: "node-stop" }>, { node }: Site, scene: Scene): void {
  const stopped = node.stop();
  if (stopped === undefined) return;
  stopped.then(
    () => later(fault, scene, () => node.start()),
    (cause: unknown) => scene.onError("a node did not stop in good order", cause),
  );
}

function later(fault: { readonly forMs: number }, { world }: Scene, run: () => void): void {
  world.after(fault.forMs, run);
}
