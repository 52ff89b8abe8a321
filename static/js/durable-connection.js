/** A chat's stream as the protocol has it, and its endpoint: the connection of one tab by itself. */

import { chatConnection } from "./chat-connection.js";
import { followStream } from "./durable-stream.js";

/** @import {DurableConnection, DurableConnectionOptions} from "./types.js" */

/** @param {DurableConnectionOptions} options @returns {DurableConnection} */
export function durableConnection(options) {
  const { sendUrl, readUrl = sendUrl, headers, credentials, ping, env } = options;
  const { fetchClient = (input, init) => fetch(input, init) } = options;
  const nudges = new EventTarget();
  const connection = chatConnection(options, {
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
    retryNow: () => void nudges.dispatchEvent(new Event("retry")),
  });
  return connection;
}
