/**
 * A chat's stream and its endpoint, as our own pages use them: whole batches, and where they end.
 * Owns addresses, headers and bodies. What a chunk means is the client's affair.
 */

import { followStream } from "./durable-stream.js";
import { postJson } from "./http.js";

/** @import {ConnectionStatus, DurableConnection, DurableConnectionOptions} from "./types.js" */

/**
 * A connection to a durable session: reads its stream from an offset, posts messages to its endpoint.
 * It remembers the offset, so that a later subscription goes on where the last one stopped.
 *
 * @param {DurableConnectionOptions} options
 * @returns {DurableConnection}
 */
export function durableConnection({
  sendUrl,
  readUrl = sendUrl,
  initialOffset,
  body,
  headers,
  credentials,
  fetchClient = (input, init) => fetch(input, init),
  ping,
  env,
}) {
  const nudges = new EventTarget();
  /** @type {Set<(status: ConnectionStatus) => void>} */
  const listeners = new Set();

  /** @type {DurableConnection} */
  const connection = {
    offset: initialOffset,

    follow: (signal, { offset = connection.offset, patient } = {}) =>
      followStream({
        url: readUrl,
        offset,
        patient,
        headers,
        credentials,
        fetchClient,
        signal,
        ping,
        env,
        nudges,
        onStatus: connection.report,
      }),

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

    retryNow() {
      nudges.dispatchEvent(new Event("retry"));
    },
  };
  return connection;
}
