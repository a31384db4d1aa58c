import type { CloseInfo } from "@quaymesh/protocol";
import { reportFault } from "./faults.ts";

/** What {@link contained} ends: a link. */
export interface Faulty {
  /** Close with an internal error, and forget the connection. */
  fault(): void;
  /** Forget the connection without a word to the peer. */
  abandon(info: CloseInfo): void;
}

/** Do `work` of one connection. Nothing is thrown: a fault ends that connection and is reported; it must not end the others, let alone the process. */
export function contained(link: Faulty, work: () => void): void {
  try {
    work();
  } catch (error) {
    reportFault("connection", error);
    giveUp(link);
  }
}

// What failed may fail again while it is told that it is over.
const giveUp = (link: Faulty): void => {
  try {
    link.fault();
  } catch (error) {
    reportFault("connection", error);
    link.abandon({ kind: "local" });
  }
};
