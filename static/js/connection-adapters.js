/**
 * Connections between a chat client and a server, in TanStack AI's shape: subscribe() and send().
 * Owns addresses, headers and bodies. What a chunk means is the client's affair.
 */

import { createReducer } from "./chat-reducer.js";
import { followStream } from "./durable-stream.js";
import { postJson } from "./http.js";

/** @import {Batch, Chunk, ConnectionStatus, DurableConnection, DurableConnectionOptions} from "./types.js" */

/**
 * A connection to a durable session: reads its stream from an offset, posts messages to its endpoint.
 * It remembers the offset, so that a later subscribe() goes on where the last one stopped.
 *
 * @param {DurableConnectionOptions} options
 * @returns {DurableConnection}
 */
export function durableStreamConnection({
  sendUrl,
  readUrl = sendUrl,
  initialOffset,
  emitSnapshotOnSubscribe = true,
  headers,
  fetchClient = (input, init) => fetch(input, init),
  ping,
  env,
}) {
  let offset = initialOffset;
  const nudges = new EventTarget();
  /** @type {Set<(status: ConnectionStatus) => void>} */
  const listeners = new Set();
  /** What nobody has taken yet of the last batch. @type {IterableIterator<Chunk>} */
  let rest = [].values();

  /** @param {AbortSignal} [signal] @returns {AsyncGenerator<Batch, void, void>} */
  const follow = (signal) =>
    followStream({
      url: readUrl,
      offset,
      headers,
      fetchClient,
      signal,
      ping,
      env,
      nudges,
      onStatus: (status) => listeners.forEach((listener) => listener(status)),
    });

  /** @param {AbortSignal} [signal] */
  async function* subscribeBatches(signal) {
    for await (const batch of follow(signal)) {
      offset = batch.offset;
      yield batch;
    }
  }

  /** @param {AbortSignal} [signal] @returns {AsyncGenerator<Chunk, void, void>} */
  async function* subscribe(signal) {
    let history = emitSnapshotOnSubscribe && offset === undefined ? createReducer() : undefined;
    for (const chunk of rest) {
      yield chunk;
      if (signal?.aborted) return;
    }
    for await (const batch of follow(signal)) {
      if (history) {
        for (const chunk of batch.items) history.apply(chunk);
        if (!batch.upToDate) continue; // the offset stays: an early end starts over
        rest = [{ type: "MESSAGES_SNAPSHOT", messages: history.snapshot().messages }].values();
        history = undefined;
      } else {
        rest = batch.items.values();
      }
      offset = batch.offset;
      for (const chunk of rest) {
        yield chunk;
        if (signal?.aborted) return;
      }
    }
  }

  return {
    subscribe,
    subscribeBatches,

    async send(messages, data, signal, run) {
      const body = {
        messages,
        data,
        runId: run?.runId,
        parentRunId: run?.parentRunId,
        resume: run?.resume,
        tools: run?.clientTools?.length ? run.clientTools : undefined,
      };
      await postJson(sendUrl, body, { headers, extraHeaders: run?.headers, fetchClient, signal });
    },

    get offset() {
      return offset;
    },
    onStatus(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    retryNow() {
      nudges.dispatchEvent(new Event("retry"));
    },
  };
}
