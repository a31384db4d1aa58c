/** Keys and certificates that pairing is simulated with: real ones, made once per process. Which they are changes nothing that happens. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  Authority,
  createCsr,
  createKeyFile,
  KeyPair,
  KeyStore,
  selfSignedCredentials,
  type EndpointCertificate,
} from "@quaymesh/identity";
import type { Credentials } from "@quaymesh/protocol";
import { watchRealWork } from "../real-work.ts";
import { EPOCH_MS } from "../world.ts";

/** A key, the certificate that its holder shows on a pairing endpoint, and the request for one of the mesh. */
export interface Holder {
  readonly key: KeyPair;
  readonly credentials: Credentials;
  readonly csr: Uint8Array;
}

/** What everybody brings along. */
export interface Materials {
  readonly authority: Authority;
  /** The authority of whoever sits in between. */
  readonly stranger: Authority;
  /** The same for the same name. */
  readonly holder: (name: string) => Promise<Holder>;
  /** The certificate of the endpoint that a simulation starts as its `nth` under this authority, each with a key of its own. `now`: Unix milliseconds, to the hour. */
  readonly endpointLeaf: (authority: Authority, nth: number, now: number) => Promise<EndpointCertificate>;
}

const HOUR_MS = 3_600_000;

let made: Promise<Materials> | undefined;

/** Make them, or take those there are. */
export function materials(): Promise<Materials> {
  watchRealWork();
  made ??= make();
  return made;
}

async function make(): Promise<Materials> {
  const holders = new Map<string, Promise<Holder>>();
  const leaves = new Map<string, Promise<EndpointCertificate>>();
  return {
    authority: await openAuthority("harbor"),
    stranger: await openAuthority("strange"),
    holder: (name) => once(holders, name, makeHolder),
    endpointLeaf: (authority, nth, now) => {
      const hour = Math.floor(now / HOUR_MS);
      return once(leaves, `${authority.meshId} ${String(nth)} ${String(hour)}`, () =>
        authority.issuePairingLeaf({ now: hour * HOUR_MS }),
      );
    },
  };
}

function once<T>(made: Map<string, Promise<T>>, name: string, make: () => Promise<T>): Promise<T> {
  const known = made.get(name) ?? make();
  made.set(name, known);
  return known;
}

async function makeHolder(): Promise<Holder> {
  const key = await KeyPair.generate();
  return { key, credentials: await selfSignedCredentials(key, { now: EPOCH_MS }), csr: await createCsr(key) };
}

async function openAuthority(meshName: string): Promise<Authority> {
  const directory = await mkdtemp(join(tmpdir(), "quaymesh-simulate-"));
  try {
    const key = await createKeyFile(join(directory, "sealing.key"));
    const store = await KeyStore.open(join(directory, "keys"), { key });
    return await Authority.create({ store, meshName, now: EPOCH_MS });
  } finally {
    await rm(directory, { recursive: true });
  }
}
