import type { InheritedSocket, ListenAddress } from "@quaymesh/protocol";
import type { ListenSpec } from "./address.ts";
import { CliError } from "./errors.ts";

/** A socket that whoever started this process opened for it. */
export interface NamedSocket extends InheritedSocket {
  /** `FileDescriptorName=` of the systemd socket unit; `unknown` where it gave none. */
  readonly name: string;
}

/** What the gateway's sockets are called. */
const SOCKET_NAMES = { mesh: "mesh", pairing: "pair", admin: "admin" } as const;

/** SD_LISTEN_FDS_START. sd_listen_fds(3) */
const FIRST_FD = 3;
/** More than any unit has, fewer than a process may open. */
const MAX_FDS = 512;

/** What systemd says of sockets, as it says it. */
export interface ListenVariables {
  readonly pid: string | undefined;
  readonly fds: string | undefined;
  readonly names: string | undefined;
}

/** Read systemd's variables and take them out of `env`: they are of no use to the processes this one starts. */
export function takeListenVariables(env: Record<string, string | undefined>): ListenVariables {
  const { LISTEN_PID: pid, LISTEN_FDS: fds, LISTEN_FDNAMES: names } = env;
  for (const name of ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]) delete env[name];
  return { pid, fds, names };
}

/**
 * The sockets that were handed to this process; none where they were meant for another.
 * @param pid this process's id
 * @throws {CliError} `USAGE` for values that no service manager gives
 * @see sd_listen_fds_with_names(3)
 */
export function inheritedSockets(said: ListenVariables, pid: number): readonly NamedSocket[] {
  const { fds, names = "" } = said;
  if (said.pid === undefined || fds === undefined || Number(said.pid) !== pid) return [];
  const count = /^\d{1,4}$/u.test(fds) ? Number(fds) : MAX_FDS + 1;
  if (count > MAX_FDS)
    throw new CliError("USAGE", `LISTEN_FDS is ${JSON.stringify(fds)}, which is no number of sockets`);
  const each = names === "" ? [] : names.split(":");
  if (each.length > 0 && each.length !== count) {
    throw new CliError("USAGE", `LISTEN_FDNAMES has ${each.length} names for ${count} sockets`);
  }
  return Array.from({ length: count }, (_, index) => ({ fd: FIRST_FD + index, name: each[index] ?? "unknown" }));
}

/** What a gateway listens on, once every name of a socket is known. */
export interface GatewaySockets {
  readonly listen: readonly ListenAddress[] | undefined;
  readonly pairing: readonly ListenAddress[] | undefined;
  readonly admin: InheritedSocket | undefined;
  /** Handed over, and used for nothing. */
  readonly unused: readonly NamedSocket[];
}

/**
 * Share inherited sockets out: what the command line names goes there, and where it names nothing the sockets called `mesh`, `pair` and `admin` go where those words say.
 * @throws {CliError} `USAGE` for a name that no socket has, for several sockets called `admin`, and for one socket that both endpoints would read
 */
export function shareSockets(
  inherited: readonly NamedSocket[],
  wanted: { readonly listen?: readonly ListenSpec[]; readonly pairing?: readonly ListenSpec[] },
): GatewaySockets {
  const listen = wanted.listen?.flatMap((spec) => socketsFor(spec, inherited)) ?? called(inherited, SOCKET_NAMES.mesh);
  const pairing =
    wanted.pairing?.flatMap((spec) => socketsFor(spec, inherited)) ?? called(inherited, SOCKET_NAMES.pairing);
  const [admin, ...more] = inherited.filter(({ name }) => name === SOCKET_NAMES.admin);
  if (more.length > 0) throw new CliError("USAGE", "several sockets are called admin, and operators use one");
  const meshFds = fdsOf(listen);
  const pairingFds = fdsOf(pairing);
  const both = pairingFds.find((fd) => meshFds.includes(fd));
  if (both !== undefined) {
    throw new CliError("USAGE", `the mesh endpoint and the pairing endpoint cannot share the socket fd ${both}`, {
      hint: "Give each a socket of its own.",
    });
  }
  const used = new Set([...meshFds, ...pairingFds]);
  return {
    listen,
    pairing,
    admin: admin && { fd: admin.fd },
    unused: inherited.filter((socket) => socket !== admin && !used.has(socket.fd)),
  };
}

function fdsOf(addresses: readonly ListenAddress[] = []): readonly number[] {
  return addresses.flatMap((each) => ("fd" in each ? [each.fd] : []));
}

function socketsFor(spec: ListenSpec, inherited: readonly NamedSocket[]): readonly ListenAddress[] {
  if (!("fdName" in spec)) return [spec];
  const found = called(inherited, spec.fdName);
  if (found !== undefined) return found;
  const names = inherited.map(({ fd, name }) => `${name} (fd ${fd})`).join(", ");
  throw new CliError("USAGE", `no inherited socket is called ${JSON.stringify(spec.fdName)}`, {
    seen: [inherited.length === 0 ? "this process inherited no sockets" : `inherited: ${names}`],
    hint: "Name it with FileDescriptorName= in the systemd socket unit. See docs/systemd.md.",
  });
}

function called(inherited: readonly NamedSocket[], wanted: string): readonly InheritedSocket[] | undefined {
  const found = inherited.filter(({ name }) => name === wanted).map(({ fd }) => ({ fd }));
  return found.length === 0 ? undefined : found;
}
