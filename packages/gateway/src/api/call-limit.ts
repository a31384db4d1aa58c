import type { Interceptor } from "@connectrpc/connect";
import { GatewayError } from "../errors.ts";

/** Streams under way at once, and calls of one answer beside them. Each keeps some ten kilobytes, and a stream of events a share of every event that comes. */
const MAX_CALLS = 1024;

/** Refuses calls beyond what may be under way, those of a program that opens streams and forgets them. @param max streams at once, and as many calls of one answer */
export function limitCalls(max: number = MAX_CALLS): Interceptor {
  // Apart: streams that nobody reads must not keep an operator from revoking a device.
  const underWay = { streams: 0, calls: 0 };
  return (next) => async (request) => {
    const kind = request.stream ? "streams" : "calls";
    if (underWay[kind] >= max) {
      throw new GatewayError("CALL_LIMIT", `${max} ${kind} are under way already`, { metadata: { max: String(max) } });
    }
    underWay[kind] += 1;
    let ended = false;
    const end = (): void => {
      if (!ended) underWay[kind] -= 1;
      ended = true;
    };
    try {
      const response = await next(request);
      if (!response.stream) {
        end();
        return response;
      }
      return { ...response, message: untilEnd(response.message, end) };
    } catch (cause) {
      end();
      throw cause;
    }
  };
}

/** Calls `end` when the reader has come to the end, or has left, whether it ever began or not. */
function untilEnd<T>(messages: AsyncIterable<T>, end: () => void): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = messages[Symbol.asyncIterator]();
      const ending = async (step: Promise<IteratorResult<T>>): Promise<IteratorResult<T>> => {
        try {
          const result = await step;
          if (result.done === true) end();
          return result;
        } catch (cause) {
          end();
          throw cause;
        }
      };
      return {
        next: () => ending(iterator.next()),
        return: () => {
          end();
          return iterator.return?.() ?? Promise.resolve({ done: true, value: undefined });
        },
      };
    },
  };
}
