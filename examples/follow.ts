import { connect } from "@quaymesh/gateway/client";
import { z } from "zod";

const [, , state, after = 0] = process.argv; // the gateway's state directory, and a cursor to go on from
await using gateway = await connect(state === undefined ? {} : { state });
const schema = z.object({ celsius: z.number() });
for await (const event of gateway.events({ after, filter: { kinds: ["sensor.*"] }, schema })) {
  console.log(event.data.celsius, event.cursor); // replayed, then live; over restarts of the gateway
}
