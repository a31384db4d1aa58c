import type { HostPort } from "./binding.ts";

/** RFC 6666: nothing is ever heard from there. */
const DISCARD_PREFIX = "100::";
const ALIAS_PORT = 1;

/** An address as a key of maps. */
export const keyOf = (address: HostPort): string => `${address.host} ${address.port}`;

/**
 * The names that quiche knows a peer's addresses by: themselves, unless quiche is to believe of an address that it never heard of it. A renamed address is a new path to quiche, which
 * has to be validated, whatever was validated under its name of before.
 */
export class PeerNames {
  readonly #names = new Map<string, HostPort>();
  readonly #addresses = new Map<string, HostPort>();
  #aliases = 0;

  /** What quiche is to call `address`. */
  nameOf(address: HostPort): HostPort {
    return this.#names.get(keyOf(address)) ?? address;
  }

  /** What quiche calls `name`; also for names of before. */
  addressOf(name: HostPort): HostPort {
    return this.#addresses.get(keyOf(name)) ?? name;
  }

  /** Give the address behind `name` another one from now on. */
  rename(name: HostPort): void {
    const address = this.addressOf(name);
    this.#aliases += 1;
    const alias = { host: `${DISCARD_PREFIX}${this.#aliases.toString(16)}`, port: ALIAS_PORT };
    this.#names.set(keyOf(address), alias);
    this.#addresses.set(keyOf(alias), address);
  }
}
