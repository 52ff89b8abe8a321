/**
 * A chat as our own pages use it: whole batches and where they end, whoever reads them, and its endpoint.
 * Owns addresses, headers and bodies of what is sent. What a chunk means is the client's affair.
 */

import { postJson } from "./http.js";

/** @import {ConnectionStatus, DurableConnection, DurableConnectionOptions} from "./types.js" */

/**
 * A connection to a durable session that posts messages to its endpoint, and reads with `follow`.
 * It remembers the offset, so that a later subscription goes on where the last one stopped.
 *
 * @param {DurableConnectionOptions} options @param {Pick<DurableConnection, "follow" | "retryNow">} reading
 * @returns {DurableConnection}
 */
export function chatConnection(
  { sendUrl, initialOffset, body, headers, credentials, fetchClient = (input, init) => fetch(input, init) },
  reading,
) {
  /** @type {Set<(status: ConnectionStatus) => void>} */
  const listeners = new Set();

  /** @type {DurableConnection} */
  const connection = {
    offset: initialOffset,
    ...reading,

    async *subscribeBatches(signal) {
      for await (const batch of connection.follow(signal)) {
        connection.offset = batch.offset;
        yield batch;
      }
    },

    async send(messages, data, signal, run) {
      const all = { ...body, ...run?.forwardedProps, ...data };
      const request = {
        messages,
        data: Object.keys(all).length ? all : undefined,
        runId: run?.runId,
        parentRunId: run?.parentRunId,
        resume: run?.resume,
        tools: run?.clientTools?.length ? run.clientTools : undefined,
      };
      await postJson(sendUrl, request, { headers, extraHeaders: run?.headers, credentials, fetchClient, signal });
    },

    report: (status) => listeners.forEach((listener) => listener(status)),

    onStatus(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  return connection;
}
