import { readdir, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { ok, wrong, type Check } from "@quaymesh/protocol";
import { throttleText } from "../events/throttle-notice.ts";
import { DEFAULT_MAX_BYTES } from "../outbox/outbox.ts";
import type { NodeDoctorContext } from "./context.ts";

/** Beyond this share of its bound, the gateway has been out of reach for too long. */
const NEARLY_FULL = 0.5;
/** A pause is over by then, or has begun anew. */
const LATE_MS = 5000;
/** Segments and watermarks that are about to be written. */
const MIN_FREE_BYTES = 16 << 20;
const LOW_FREE_BYTES = 256 << 20;

/** How much waits for the gateway, against how much may. */
export const outboxCheck: Check<NodeDoctorContext> = {
  name: "outbox",
  needs: ["state"],
  async run({ layout, reported, clock }) {
    const bytes = await bytesIn(layout.outbox);
    const waiting = reported === undefined ? "" : `${reported.unacknowledged} events wait, `;
    const seen = `${waiting}${megabytes(bytes)} on disk of ${megabytes(DEFAULT_MAX_BYTES)} by default`;
    const details = { bytes, maxBytes: DEFAULT_MAX_BYTES, unacknowledged: reported?.unacknowledged ?? null };
    const { throttled } = reported ?? {};
    if (throttled !== undefined && clock.now() < throttled.until + LATE_MS) {
      const fix = `Look at the gateway:  quaymesh gateway doctor. The node tries again by itself and loses nothing.`;
      const rest = { code: "EVENTS_THROTTLED", fix, details: { ...details, reason: throttled.reason } };
      return wrong("warning", `${throttleText(throttled.reason)}; ${seen}`, rest);
    }
    if (bytes < DEFAULT_MAX_BYTES * NEARLY_FULL) return ok(seen, details);
    return wrong("warning", seen, {
      code: "OUTBOX_FULL",
      fix: "Get the node connected: what waits is delivered in order. A full outbox refuses new events.",
      details,
    });
  },
};

/** Room on the disk that holds the state. */
export const diskCheck: Check<NodeDoctorContext> = {
  name: "disk",
  needs: ["state"],
  async run({ layout }) {
    const { bavail, bsize } = await statfs(layout.directory);
    const freeBytes = bavail * bsize;
    const seen = `${megabytes(freeBytes)} free`;
    const rest = { code: "OUTBOX_DISK_FULL", fix: `Free some space on the disk that holds ${layout.directory}.` };
    if (freeBytes < MIN_FREE_BYTES) return wrong("failed", seen, { ...rest, details: { freeBytes } });
    if (freeBytes < LOW_FREE_BYTES) return wrong("warning", seen, { ...rest, details: { freeBytes } });
    return ok(seen, { freeBytes });
  },
};

async function bytesIn(directory: string): Promise<number> {
  const names = await readdir(directory, { recursive: true }).catch(() => []);
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(directory, name)).then(
        (found) => (found.isFile() ? found.size : 0),
        // A segment that was delivered meanwhile.
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

function megabytes(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  return bytes >= 1e5 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e3).toFixed(1)} kB`;
}
