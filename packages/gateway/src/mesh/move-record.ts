/** The newest move of a gateway, in its store: one row, replaced whole. */
import type { MoveStatement } from "@quaymesh/identity";
import { GatewayError } from "../errors.ts";
import type { MetaStore } from "../store/port.ts";

const KEY = "move";

/** @throws {GatewayError} `STORE_*` */
export async function storeMove(meta: Pick<MetaStore, "put">, move: MoveStatement): Promise<void> {
  const { issuer, signature, ...rest } = move;
  await meta.put(KEY, JSON.stringify({ ...rest, issuer: base64(issuer), signature: base64(signature) }));
}

/** @throws {GatewayError} `STORE_CORRUPT`, `STORE_*` */
export async function loadMove(meta: Pick<MetaStore, "get">): Promise<MoveStatement | undefined> {
  const text = await meta.get(KEY);
  if (text === undefined) return undefined;
  const value: unknown = JSON.parse(text);
  const fields = new Map<string, unknown>(typeof value === "object" && value !== null ? Object.entries(value) : []);
  const [version, time] = [fields.get("version"), fields.get("time")];
  const [addresses, pairing] = [textsOf(fields.get("addresses")), textsOf(fields.get("pairing"))];
  const [issuer, signature] = [fields.get("issuer"), fields.get("signature")];
  if (typeof version !== "number" || typeof time !== "number" || addresses === undefined || pairing === undefined) {
    throw corrupt();
  }
  if (typeof issuer !== "string" || typeof signature !== "string") throw corrupt();
  return { version, time, addresses, pairing, issuer: bytesOf(issuer), signature: bytesOf(signature) };
}

function textsOf(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) && value.every((item) => typeof item === "string") ? value : undefined;
}

function corrupt(): GatewayError {
  return new GatewayError("STORE_CORRUPT", "the stored move of this gateway is damaged");
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64"));
