/** The transition table of `docs/pairing-states.md`, as the machines give it. */
import { exploreNode } from "./explore-node.ts";
import { exploreGateway, type Outcomes } from "./explore.ts";
import { excuseOf } from "./in-simulation.ts";
import { GATEWAY_PAIRS, NODE_PAIRS, type Pair } from "./states.ts";

/** Where the table is. */
export const DOCUMENT = new URL("../../docs/pairing-states.md", import.meta.url);
/** What is between these is written by `npm run pairing-states`. */
const MARKERS = ["<!-- table: npm run pairing-states -->", "<!-- /table -->"] as const;

/** What came of every pair of both machines. */
export interface Explored {
  readonly gateway: Outcomes;
  readonly node: Outcomes;
}

/** Explore both machines. */
export function explore(): Explored {
  return { gateway: exploreGateway(), node: exploreNode() };
}

/** The tables. */
export function renderTables({ gateway, node }: Explored): string {
  return [
    "### The gateway's machine",
    "",
    ...rows(GATEWAY_PAIRS, gateway),
    "",
    "### The node's machine",
    "",
    ...rows(NODE_PAIRS, node),
  ].join("\n");
}

/** `text` with other tables. @throws {Error} where it has no place for them */
export function withTables(text: string, tables: string): string {
  const [begin, end] = MARKERS.map((marker) => text.indexOf(marker));
  if (begin === undefined || end === undefined || begin < 0 || end < begin) throw new Error("the markers are gone");
  return `${text.slice(0, begin + MARKERS[0].length)}\n\n${tables}\n\n${text.slice(end)}`;
}

function rows(pairs: readonly Pair[], outcomes: Outcomes): readonly string[] {
  const table = pairs.toSorted().map((pair) => {
    const [state = "", input = ""] = pair.split(" + ");
    const came = [...(outcomes.get(pair) ?? [])].toSorted().map((outcome) => outcome.replace("→ ", ""));
    return `| ${state} | \`${input}\` | ${came.map((outcome) => plain(outcome, state)).join("<br>")} | ${seen(pair)} |`;
  });
  return ["| state | input | next state: what is done | in simulation |", "|---|---|---|---|", ...table];
}

/** What changes nothing is said shortly. */
function plain(outcome: string, state: string): string {
  const stays = outcome === state || state.endsWith(` ${outcome}`);
  return stays ? "–" : outcome;
}

function seen(pair: Pair): string {
  return excuseOf(pair) ?? "yes";
}
