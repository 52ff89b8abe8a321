/**
 * One shape for every adapter: subscribe() and send(). A connect-only adapter gets a queue between the two, and its
 * runs an end that is told even if the server does not.
 */

import { abortable, abortableItems } from "./abort.js";
import { createRunEnd } from "./chunks.js";

/** @import {Chunk, ConnectionAdapter, ConnectConnection, SubscribeConnection} from "./types.js" */

/** The run for which a chunk came, where the chunk does not say it. @type {WeakMap<object, string>} */
const requested = new WeakMap();

/** The run a chunk was asked for with, else the one it names. @param {Chunk} chunk @returns {string | undefined} */
export const getChunkRunId = (chunk) => requested.get(chunk) ?? chunk.runId ?? chunk.metadata?.runId;

/** @param {ConnectionAdapter | undefined} connection @returns {SubscribeConnection} */
export function normalizeConnectionAdapter(connection) {
  if (!connection) throw new TypeError("Connection adapter is required");
  const adapter = /** @type {SubscribeConnection & ConnectConnection} */ (connection);
  const [connects, subscribes, sends, joins, hydrates] = /** @type {const} */ ([
    "connect",
    "subscribe",
    "send",
    "joinRun",
    "hydrate",
  ]).map((name) => typeof adapter[name] === "function");
  const rule = "Connection adapter must provide either connect or both subscribe and send";
  if (connects && (subscribes || sends)) throw new TypeError(`${rule}, not both modes`);
  if (!connects && !(subscribes && sends)) throw new TypeError(rule);
  return {
    ...(connects
      ? queueRuns(adapter)
      : { subscribe: adapter.subscribe.bind(adapter), send: adapter.send.bind(adapter) }),
    ...(joins && { joinRun: adapter.joinRun?.bind(adapter) }),
    ...(hydrates && { hydrate: adapter.hydrate?.bind(adapter) }),
  };
}

/** @param {ConnectConnection} connection @returns {SubscribeConnection} */
function queueRuns(connection) {
  /** @type {ReturnType<typeof createQueue<Chunk>>} */
  const queue = createQueue();

  return {
    subscribe: queue.read,

    async send(messages, data, signal, run) {
      const end = createRunEnd(run);
      /** @param {Chunk} chunk */
      const push = (chunk) => {
        if (run?.runId) requested.set(chunk, run.runId);
        queue.push(chunk);
      };
      try {
        for await (const chunk of abortableItems(connection.connect(messages, data, signal, run), signal)) {
          end.note(chunk);
          push(chunk);
        }
        signal?.throwIfAborted();
        if (!end.over) push(end.finished());
      } catch (error) {
        if (!end.over && !signal?.aborted) push(end.failed(error));
        throw error;
      }
      await queue.taken(signal);
    },
  };
}

/** A queue with one reader at a time: the latest takes over what is left. @template T */
export function createQueue() {
  /** @type {T[]} */
  const items = [];
  /** Set when nothing more will come. @type {{error?: unknown} | undefined} */
  let end;
  /** @type {object | undefined} */
  let reader;
  let busy = false; // the reader deals with the last item
  let wake = () => {};
  /** @type {Set<() => void>} */
  const waiting = new Set();

  const rest = () => {
    busy = false;
    for (const resolve of waiting) resolve();
    waiting.clear();
  };

  return {
    /** @param {T} item */
    push(item) {
      items.push(item);
      wake();
    },

    /** Reading ends after what is left; with the error, if there is one. @param {{error?: unknown}} [how] */
    close(how = {}) {
      end ??= how;
      wake();
    },

    /**
     * What is left and what comes, until `signal` is aborted.
     *
     * @param {AbortSignal} [signal] @returns {AsyncGenerator<T, void, void>}
     */
    async *read(signal) {
      const me = {};
      reader = me;
      wake(); // ends the one before
      try {
        while (!signal?.aborted && reader === me) {
          if (items.length > 0) {
            busy = true;
            yield /** @type {T} */ (items.shift());
          } else if (end) {
            if ("error" in end) throw end.error;
            return;
          } else {
            rest();
            await abortable(new Promise((resolve) => (wake = () => resolve(undefined))), signal).catch(() => {});
          }
        }
      } finally {
        if (reader === me) {
          reader = undefined;
          rest();
        }
      }
    },

    /** Until the reader, if there is one, has dealt with everything. @param {AbortSignal} [signal] */
    async taken(signal) {
      while (reader && (busy || items.length > 0) && !signal?.aborted) {
        /** @type {() => void} */
        let done = () => {};
        await abortable(new Promise((resolve) => waiting.add((done = () => resolve(undefined)))), signal).catch(
          () => {},
        );
        waiting.delete(done);
      }
    },
  };
}
