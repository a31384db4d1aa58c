import { ok, skipped, wrong, type Check } from "@quaymesh/protocol";
import type { GatewayDoctorContext } from "./context.ts";

/** What the transport asks the kernel for, docs/bench.md. */
const BUFFER_BYTES = 4 << 20;
/** Sockets, the store's files and operators' connections, with room. */
const MIN_OPEN_FILES = 1024;
const FULL_SHARE = 0.9;

/** The kernel gives UDP sockets the buffers that the transport asks for: a burst that does not fit is lost. */
export const buffersCheck: Check<GatewayDoctorContext> = {
  name: "udp-buffers",
  async run({ readProc }) {
    const read = async (name: string): Promise<number> =>
      Number((await readProc(`/proc/sys/net/core/${name}`)) ?? "NaN");
    const [rmem, wmem] = [await read("rmem_max"), await read("wmem_max")];
    if (Number.isNaN(rmem) || Number.isNaN(wmem)) return skipped("this system does not say");
    const seen = `at most ${kilobytes(rmem)} to receive and ${kilobytes(wmem)} to send; ${kilobytes(BUFFER_BYTES)} are asked for`;
    if (Math.min(rmem, wmem) >= BUFFER_BYTES) return ok(seen, { rmem, wmem });
    return wrong("warning", `${seen}: bursts are lost and sent again`, {
      code: "UDP_BUFFERS_SMALL",
      fix: `sudo sysctl -w net.core.rmem_max=${BUFFER_BYTES} net.core.wmem_max=${BUFFER_BYTES}\nand the same in /etc/sysctl.d/quaymesh.conf, then restart the gateway.`,
      details: { rmem, wmem, wanted: BUFFER_BYTES },
    });
  },
};

/** Open files: nodes take none, as all of them share the endpoint's sockets; operators take one each. */
export const filesCheck: Check<GatewayDoctorContext> = {
  name: "open-files",
  async run({ readProc, running }) {
    const limits = await readProc(`/proc/${running?.diagnosis.pid ?? "self"}/limits`);
    const soft = Number(
      /^Max open files\s+(\d+|unlimited)/mu.exec(limits ?? "")?.[1]?.replace("unlimited", "Infinity"),
    );
    if (limits === undefined || Number.isNaN(soft)) return skipped("this system does not say");
    const seen = `${soft === Infinity ? "any number" : soft} allowed; nodes take none, operators one each`;
    if (soft >= MIN_OPEN_FILES) return ok(seen, { allowed: soft });
    const fix = `ulimit -n ${MIN_OPEN_FILES}   or LimitNOFILE=${MIN_OPEN_FILES} in its systemd unit`;
    return wrong("warning", seen, { code: "OPEN_FILES_LOW", fix, details: { allowed: soft } });
  },
};

/** There is a place for one more node. */
export const placesCheck: Check<GatewayDoctorContext> = {
  name: "places",
  needs: ["state"],
  run({ running }) {
    if (running === undefined) return skipped("nobody can be connected");
    const { stats, diagnosis } = running;
    const { connections, refused } = stats.transport;
    const turned = (["busy", "half-open", "budget", "displaced"] as const).reduce(
      (sum, reason) => sum + (refused[reason] ?? 0),
      0,
    );
    const { maxConnections } = diagnosis;
    const details = { connections, maxConnections, turnedAway: turned };
    const seen = `${connections} of ${maxConnections} connections held, ${turned} turned away as busy since the start`;
    if (connections < maxConnections * FULL_SHARE && turned === 0) return ok(seen, details);
    return wrong("warning", seen, {
      code: "GATEWAY_BUSY",
      fix: `Give it more:  gateway run --max-connections ${maxConnections * 4}\nWho is turned away, by reason:  quaymesh gateway stats`,
      details,
    });
  },
};

const kilobytes = (bytes: number): string => `${Math.round(bytes / 1024)} KiB`;
