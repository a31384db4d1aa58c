/**
 * As much of CDDL (RFC 8610) as schemas/wire/quaymesh.cddl uses, read and matched against decoded values: so that the
 * file is a test subject and not a second opinion. Written from the RFC, knowing nothing of our schemas. Anything it
 * does not know is an error.
 */

type Type =
  | { readonly kind: "choice"; readonly of: readonly Type[] }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "literal"; readonly value: string | number }
  | { readonly kind: "range"; readonly from: number; readonly to: number; readonly float: boolean }
  | { readonly kind: "size"; readonly of: "bstr" | "tstr"; readonly min: number; readonly max: number }
  | { readonly kind: "regexp"; readonly pattern: RegExp }
  | { readonly kind: "map"; readonly entries: readonly Entry[] }
  | { readonly kind: "array"; readonly min: number; readonly max: number; readonly of: Type };

type Entry =
  | { readonly kind: "field"; readonly key: string; readonly optional: boolean; readonly type: Type }
  | { readonly kind: "open" }
  | { readonly kind: "group"; readonly name: string };

type Rule =
  | { readonly kind: "type"; readonly type: Type }
  | { readonly kind: "group"; readonly entries: readonly Entry[] };

const TOKEN =
  /"[^"]*"|\.\.|\.[a-z]+|=>|\d+\*\d*|\*\d*|-?\d+(?:\.\d+)?|[A-Za-z][A-Za-z0-9]*(?:[-.][A-Za-z0-9]+)*|[={}()[\],:?/]/g;

/** A CDDL file. */
export class Cddl {
  readonly #rules = new Map<string, Rule>();
  readonly #tokens: string[];
  #at = 0;

  constructor(source: string) {
    this.#tokens = tokenize(source);
    while (this.#at < this.#tokens.length) {
      const name = this.#next();
      this.#expect("=");
      if (this.#rules.has(name)) throw new Error(`a second rule ${name}`);
      this.#rules.set(
        name,
        this.#peek() === "("
          ? { kind: "group", entries: this.#entries("(", ")") }
          : { kind: "type", type: this.#type() },
      );
    }
    for (const rule of this.#rules.values()) this.#resolve(rule);
  }

  /** Whether `value` is what the rule `name` describes. */
  matches(name: string, value: unknown): boolean {
    return this.#matches({ kind: "name", name }, value);
  }

  /** All `key: "literal"` pairs of the file, for one key. */
  literals(key: string): string[] {
    const pairs = this.#tokens.map((token, index) =>
      token === key && this.#tokens[index + 1] === ":" ? this.#tokens[index + 2] : undefined,
    );
    return pairs.filter((token) => token?.startsWith('"') === true).map((token) => token?.slice(1, -1) ?? "");
  }

  #matches(type: Type, value: unknown): boolean {
    switch (type.kind) {
      case "choice":
        return type.of.some((each) => this.#matches(each, value));
      case "name":
        return this.#matchesName(type.name, value);
      case "literal":
        return value === type.value;
      case "range":
        return (
          typeof value === "number" && value >= type.from && value <= type.to && (type.float || Number.isInteger(value))
        );
      case "size": {
        const length = type.of === "bstr" ? bytesIn(value) : textBytesIn(value);
        return length !== undefined && length >= type.min && length <= type.max;
      }
      case "regexp":
        return typeof value === "string" && type.pattern.test(value);
      case "array":
        return (
          Array.isArray(value) &&
          value.length >= type.min &&
          value.length <= type.max &&
          value.every((each) => this.#matches(type.of, each))
        );
      case "map":
        return this.#matchesMap(type.entries, value);
      default:
        return type satisfies never;
    }
  }

  #matchesName(name: string, value: unknown): boolean {
    switch (name) {
      case "any":
        return true;
      case "bool":
        return typeof value === "boolean";
      case "float":
        return typeof value === "number" && !Number.isInteger(value);
      case "text":
        return typeof value === "string";
      default: {
        const rule = this.#rules.get(name);
        if (rule?.kind !== "type") throw new Error(`${name} is no type`);
        return this.#matches(rule.type, value);
      }
    }
  }

  #matchesMap(entries: readonly Entry[], value: unknown): boolean {
    if (typeof value !== "object" || value === null || Array.isArray(value) || value instanceof Uint8Array)
      return false;
    const left = new Map(Object.entries(value));
    let open = false;
    for (const entry of this.#flatten(entries)) {
      if (entry.kind === "open") {
        open = true;
      } else if (!left.has(entry.key)) {
        if (!entry.optional) return false;
      } else {
        // A key with a type of its own is not matched by `* text => any` instead: `:` cuts.
        if (!this.#matches(entry.type, left.get(entry.key))) return false;
        left.delete(entry.key);
      }
    }
    return open || left.size === 0;
  }

  #flatten(entries: readonly Entry[]): Exclude<Entry, { kind: "group" }>[] {
    return entries.flatMap((entry) => {
      if (entry.kind !== "group") return [entry];
      const rule = this.#rules.get(entry.name);
      if (rule?.kind !== "group") throw new Error(`${entry.name} is no group`);
      return this.#flatten(rule.entries);
    });
  }

  /** Every name must lead somewhere, used by a vector or not. */
  #resolve(rule: Rule): void {
    const visit = (type: Type): void => {
      if (type.kind === "choice") type.of.forEach(visit);
      else if (type.kind === "array") visit(type.of);
      else if (type.kind === "map") this.#resolve({ kind: "group", entries: type.entries });
      else if (
        type.kind === "name" &&
        !["any", "bool", "float", "text"].includes(type.name) &&
        this.#rules.get(type.name)?.kind !== "type"
      ) {
        throw new Error(`no type ${type.name}`);
      }
    };
    if (rule.kind === "type") return visit(rule.type);
    for (const entry of this.#flatten(rule.entries)) if (entry.kind === "field") visit(entry.type);
    return undefined;
  }

  #type(): Type {
    const of = [this.#single()];
    while (this.#peek() === "/") {
      this.#next();
      of.push(this.#single());
    }
    const only = of[0];
    return of.length === 1 && only !== undefined ? only : { kind: "choice", of };
  }

  #single(): Type {
    const token = this.#peek();
    if (token === "{") return { kind: "map", entries: this.#entries("{", "}") };
    if (token === "[") return this.#array();
    this.#next();
    if (token.startsWith('"')) return { kind: "literal", value: token.slice(1, -1) };
    if (/^-?\d/.test(token))
      return this.#peek() === ".." ? this.#range(token) : { kind: "literal", value: Number(token) };
    if (this.#peek() === ".size" && (token === "bstr" || token === "tstr")) return this.#size(token);
    if (this.#peek() === ".regexp" && token === "tstr") {
      this.#next();
      return { kind: "regexp", pattern: new RegExp(`^(?:${this.#next().slice(1, -1)})$`) };
    }
    return { kind: "name", name: token };
  }

  #range(from: string): Type {
    this.#expect("..");
    const to = this.#next();
    return { kind: "range", from: Number(from), to: Number(to), float: from.includes(".") };
  }

  #size(of: "bstr" | "tstr"): Type {
    this.#expect(".size");
    if (this.#peek() !== "(") {
      const exactly = Number(this.#next());
      return { kind: "size", of, min: exactly, max: exactly };
    }
    this.#expect("(");
    const min = Number(this.#next());
    this.#expect("..");
    const max = Number(this.#next());
    this.#expect(")");
    return { kind: "size", of, min, max };
  }

  #array(): Type {
    this.#expect("[");
    const occurrence = /^(\d*)\*(\d*)$/.exec(this.#next());
    if (occurrence === null) throw new Error("an array without its number of elements");
    const of = this.#type();
    this.#expect("]");
    return {
      kind: "array",
      of,
      min: Number(occurrence[1] ?? 0),
      max: occurrence[2] ? Number(occurrence[2]) : Number.POSITIVE_INFINITY,
    };
  }

  #entries(from: string, to: string): Entry[] {
    this.#expect(from);
    const entries: Entry[] = [];
    while (this.#peek() !== to) {
      entries.push(this.#entry());
      if (this.#peek() === ",") this.#next();
    }
    this.#expect(to);
    return entries;
  }

  #entry(): Entry {
    if (this.#peek() === "*") {
      for (const token of ["*", "text", "=>", "any"]) this.#expect(token);
      return { kind: "open" };
    }
    const optional = this.#peek() === "?";
    if (optional) this.#next();
    const key = this.#next();
    if (this.#peek() !== ":") return { kind: "group", name: key };
    this.#expect(":");
    return { kind: "field", key, optional, type: this.#type() };
  }

  #peek(): string {
    return this.#tokens[this.#at] ?? "";
  }

  #next(): string {
    const token = this.#peek();
    if (token === "") throw new Error("the file ends in the middle");
    this.#at++;
    return token;
  }

  #expect(token: string): void {
    const found = this.#next();
    if (found !== token) throw new Error(`expected ${token}, found ${found}`);
  }
}

function tokenize(source: string): string[] {
  const text = source.replaceAll(/;[^\n]*/g, "");
  const tokens = text.match(TOKEN) ?? [];
  // What the pattern skipped must be space, or this is not a reader of the file.
  if (text.replaceAll(TOKEN, "").trim() !== "") throw new Error("unknown characters in the file");
  return tokens;
}

function bytesIn(value: unknown): number | undefined {
  return value instanceof Uint8Array ? value.length : undefined;
}

function textBytesIn(value: unknown): number | undefined {
  return typeof value === "string" ? Buffer.byteLength(value) : undefined;
}
