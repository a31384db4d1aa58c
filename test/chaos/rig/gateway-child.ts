/** A gateway's process. Argument: {@link GatewaySetup} as JSON. */
import { Gateway } from "@quaymesh/gateway";
import { createQuicTransport } from "@quaymesh/transport-quic";
import { breakGateway, type ControlName } from "../controls.ts";
import { IDLE_MS, obey, tellReady } from "./lines.ts";

/** What a gateway's process is told. */
export interface GatewaySetup {
  readonly state: string;
  /** 0: any; it says which. */
  readonly port: number;
  readonly control: ControlName | undefined;
}

const setup = JSON.parse(process.argv[2] ?? "") as GatewaySetup;
breakGateway(setup.control);
obey({});
const gateway = await Gateway.open({
  transport: createQuicTransport(),
  state: setup.state,
  listen: { host: "127.0.0.1", port: setup.port },
  transportLimits: { idleTimeoutMs: IDLE_MS },
  pairing: {
    childModule: new URL("../../../packages/cli/src/pairing-child.ts", import.meta.url),
    listen: { host: "127.0.0.1", port: 0 },
  },
});
tellReady(gateway.addresses[0]?.split(":").at(-1));
