/**
 * The lanes of the transport lab: every transport as what it is to a chat client, a connection adapter. Owns what
 * each lane is asked and whether it still expects anything. What is shown of it, the page knows.
 */

import { normalizeConnectionAdapter } from "../adapter-queue.js";
import { isTerminal, parseChunk } from "../chunks.js";
import { durableStreamConnection, fetchHttpStream, fetchServerSentEvents, stream, webSocket } from "../connection-adapters.js";
import { httpError, readBytes } from "../http.js";
import { createAnswer } from "./lab-count.js";
import { countingFetch, countingWebSocket, createTraffic } from "./lab-traffic.js";
import { createRunInput } from "../run-input.js";
import { createSseParser } from "../sse-parser.js";

/** @import {ConnectionAdapter, Fetch, RunContext} from "../types.js" */
/** @import {Traffic} from "./lab-traffic.js" */

/** What anybody would write first. @param {string} url @param {Fetch} fetchClient */
const oneRequest = (url, fetchClient) =>
  stream(async function* (messages, data, signal, run) {
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify(createRunInput(messages, data, run));
    const response = await fetchClient(url, { method: "POST", headers, body, signal });
    if (!response.ok) throw await httpError(response);
    const parser = createSseParser();
    for await (const bytes of readBytes(response)) {
      for (const { data } of parser.feed(bytes)) if (data) yield parseChunk(data);
    }
  });

/** @type {Record<string, (chat: string, traffic: Traffic) => ConnectionAdapter>} */
const TRANSPORTS = {
  plain: (chat, traffic) => oneRequest(`/api/chat/sse?id=${chat}`, countingFetch(traffic)),
  sse: (chat, traffic) => fetchServerSentEvents(`/api/chat/sse?id=${chat}`, { fetchClient: countingFetch(traffic) }),
  ndjson: (chat, traffic) => fetchHttpStream(`/api/chat/ndjson?id=${chat}`, { fetchClient: countingFetch(traffic) }),
  ws: (chat, traffic) => webSocket(`/api/chat/ws?id=${chat}`, { WebSocketImpl: countingWebSocket(traffic) }),
  durable: (chat, traffic) =>
    durableStreamConnection({
      sendUrl: `/api/chat?id=${chat}`,
      readUrl: `/api/chat-stream?id=${chat}`,
      emitSnapshotOnSubscribe: false, // the events themselves, from the first on: they are what is counted
      fetchClient: countingFetch(traffic),
    }),
};

export const NAMES = Object.keys(TRANSPORTS);

/**
 * @typedef {object} Lane
 * @property {string} name
 * @property {ReturnType<typeof createAnswer>} answer
 * @property {Traffic} traffic
 * @property {"idle" | "expecting" | "ended" | "broken"} state
 * @property {(message: any, run: RunContext) => Promise<void>} send
 * @property {(runIds: string[]) => Promise<void>} resume   what this tab had asked before it was loaded again
 */

/** @param {string} name @param {string} chat @returns {Lane} */
export function createLane(name, chat) {
  const traffic = createTraffic();
  const connection = normalizeConnectionAdapter(TRANSPORTS[name](chat, traffic));
  const follows = name === "durable"; // and is never through: somebody may say something
  let pending = 0;

  /** @param {any} chunk */
  function take(chunk) {
    lane.answer.add(chunk);
    if (!isTerminal(chunk) || follows) return;
    pending -= 1;
    if (pending === 0 && lane.state === "expecting") lane.state = chunk.type === "RUN_ERROR" ? "broken" : "ended";
  }

  (async () => {
    for await (const chunk of connection.subscribe()) take(chunk);
  })().catch(() => (lane.state = "broken"));

  /** @type {Lane} */
  const lane = {
    name,
    answer: createAnswer(),
    traffic,
    state: follows ? "expecting" : "idle",

    async send(message, run) {
      pending += 1;
      lane.state = "expecting";
      await connection.send([message], undefined, undefined, run).catch(() => (lane.state = "broken"));
    },

    async resume(runIds) {
      if (!connection.joinRun || follows) return;
      pending += runIds.length;
      if (pending) lane.state = "expecting";
      try {
        for (const runId of runIds) for await (const chunk of connection.joinRun(runId)) take(chunk);
      } catch {
        lane.state = "broken";
      }
    },
  };
  return lane;
}
