import { layoutOf } from "../../src/state/layout.ts";
import type { NodeDoctorContext } from "../../src/doctor/context.ts";
import type { NodeIdentity } from "../../src/state/identity-file.ts";
import { ManualClock } from "./manual-clock.ts";

/** What a check asks that the test does not answer fails. */
const unasked = (what: string) => () => Promise.reject(new Error(`${what} was not to be asked`));

/** A context for one check; `now` is what this machine's clock says. */
export function doctorContext(
  facts: Partial<NodeDoctorContext> & { readonly state?: string; readonly now?: number } = {},
): NodeDoctorContext {
  const { state = "/nowhere", now = 0, ...rest } = facts;
  return {
    layout: layoutOf(state),
    transport: { listen: unasked("listen"), dial: unasked("dial") },
    probe: unasked("probe"),
    lookup: unasked("lookup"),
    datagramBytes: 1350,
    clock: Object.assign(new ManualClock(), { now: () => now }),
    ...rest,
  };
}

/** An identity with these mesh endpoints; its certificates are none. */
export const identityAt = (...addresses: NodeIdentity["addresses"]): NodeIdentity => ({
  deviceId: "01JD0K3X9Y8QZ7V6T5S4R3P2N1",
  meshId: "meshmeshmeshmesh",
  mesh: "harbor",
  addresses,
  chainPem: "",
  rootPem: "",
  renewAfter: 0,
  notAfter: 0,
});
