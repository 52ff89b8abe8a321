/** What tests of the two HTTP streams share: both kinds, and a fetch whose replies the test writes. */

import { fetchHttpStream, fetchServerSentEvents } from "../../../static/js/connection-adapters.js";
import { collect } from "./waiting.js";

export const RUN = { threadId: "thread-1", runId: "run-1" };
export const FAST = { reconnect: { delayMs: 1 } };

/** A body as a fetch gives it. @param {...(string | Error)} parts   an error breaks the connection */
export const body = (...parts) =>
  new ReadableStream({
    async pull(controller) {
      const part = parts.shift();
      if (part === undefined) controller.close();
      else if (part instanceof Error) controller.error(part);
      else controller.enqueue(new TextEncoder().encode(part));
    },
  });

/** Gives these replies, one after the other; then nobody is there. @param {...((init: RequestInit) => Response)} replies */
export function scripted(...replies) {
  /** @type {{url: string, init: RequestInit, headers: Headers}[]} */
  const asked = [];
  return {
    asked,
    /** @type {typeof fetch} */
    fetchClient: async (url, init = {}) => {
      asked.push({ url: String(url), init, headers: new Headers(init.headers) });
      const reply = replies.shift();
      if (!reply) throw new TypeError("fetch failed");
      return reply(init);
    },
  };
}

/**
 * Both kinds: the adapter, and how its server writes a line, a chunk and a chunk with an id.
 *
 * @param {"sse" | "ndjson"} kind
 */
function createKind(kind) {
  const adapter = kind === "sse" ? fetchServerSentEvents : fetchHttpStream;
  /** @param {string} json */
  const line = (json) => (kind === "sse" ? `data: ${json}\n\n` : `${json}\n`);
  return {
    kind,
    name: kind === "sse" ? "fetchServerSentEvents" : "fetchHttpStream",
    adapter,
    line,
    /** @param {string} type @param {object} [more] */
    chunk: (type, more) => line(JSON.stringify({ type, ...more })),
    /** @param {string} id @param {object} value */
    tagged: (id, value) =>
      kind === "sse" ? `id: ${id}\n${line(JSON.stringify(value))}` : line(JSON.stringify({ id, chunk: value })),
    /** What a run brings that is answered like this. @param {...(() => Response)} replies */
    connectTo: (...replies) => {
      const { fetchClient, asked } = scripted(...replies);
      const chunks = adapter("http://chat.test/", { fetchClient, ...FAST }).connect([], undefined, undefined, RUN);
      return { asked, chunks: collect(chunks) };
    },
  };
}

export const KINDS = [createKind("sse"), createKind("ndjson")];
