import { ok, skipped, wrong, type Check } from "@quaymesh/protocol";
import { TOLERATED_SKEW_MS } from "../link/clock-skew.ts";
import type { NodeDoctorContext } from "./context.ts";

/** Certificates are dated back by so much: beyond it a fresh one is not valid yet where it is read. docs/wire.md, "QUIC and TLS". */
const BACKDATED_MS = 600_000;

/** This machine's clock against the gateway's. */
export const clockCheck: Check<NodeDoctorContext> = {
  name: "clock",
  needs: ["udp", "identity"],
  run({ dialed }) {
    if (dialed?.kind !== "accepted") return skipped("the gateway tells its time to whom it lets in");
    if (dialed.time === undefined) return skipped("this gateway does not tell its time without a session");
    const { gateway, here, roundTripMs } = dialed.time;
    const offMs = Math.round(here - gateway);
    const clocks = { gatewayClock: iso(gateway), clock: iso(here), offMs };
    // The answer was written somewhere within the round trip.
    const size = Math.max(0, Math.abs(offMs) - roundTripMs / 2);
    if (size <= TOLERATED_SKEW_MS) return ok(`within ${Math.ceil(Math.abs(offMs) / 1000)} s of the gateway's`, clocks);
    const way = offMs > 0 ? "ahead of" : "behind";
    const seen = `${Math.round(Math.abs(offMs) / 1000)} s ${way} the gateway's: this clock says ${clocks.clock}, the gateway's ${clocks.gatewayClock}`;
    const fix = "Set the one that is wrong, and have both kept by NTP:  timedatectl set-ntp true";
    return wrong(size > BACKDATED_MS ? "failed" : "warning", seen, { code: "CLOCK_SKEW", fix, details: clocks });
  },
};

const iso = (at: number): string => new Date(at).toISOString();
