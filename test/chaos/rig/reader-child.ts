/** A subscriber's process: it says each event of the log, from a place on that the harness remembers. Argument: {@link ReaderSetup} as JSON. */
import { setTimeout as delay } from "node:timers/promises";
import { Node, type EventCursor } from "@quaymesh/node";
import type { ControlName } from "../controls.ts";
import { dialing, obey, tell, tellReady } from "./lines.ts";

/** What a subscriber's process is told. */
export interface ReaderSetup {
  readonly state: string;
  readonly port: number;
  readonly after: EventCursor | undefined;
  readonly control: ControlName | undefined;
}

/** How long a broken reader takes to act. */
const LATE_MS = 100;

const setup = JSON.parse(process.argv[2] ?? "") as ReaderSetup;
obey({});
const node = await Node.open({ state: setup.state, transport: dialing(setup.port) });
void node.run();
tellReady();
for await (const event of node.subscribe(setup.after === undefined ? {} : { after: setup.after })) {
  const { cursor, device, seq, body } = event;
  const act = (): void => {
    tell(`e ${cursor.log} ${String(cursor.offset)} ${device} ${String(seq)} ${String(body.length)}`);
  };
  if (setup.control !== "cursor-before-delivery") act();
  else {
    tell(`c ${cursor.log} ${String(cursor.offset)}`);
    void delay(LATE_MS).then(act);
  }
}
