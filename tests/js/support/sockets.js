/** What tests of the WebSocket adapter share: a connection with a subscriber, and a server that says what it likes. */

import { once } from "node:events";

import { WebSocketServer } from "ws";

import { webSocket } from "../../../static/js/connection-adapters.js";
import { userMessage, watchedController } from "./waiting.js";

/** A connection with a subscriber, and what it has heard. @param {string} address @param {Parameters<typeof webSocket>[1]} [options] */
export function openSession(address, options = { reconnect: { delayMs: 1 } }) {
  const connection = webSocket(address, options);
  const controller = watchedController();
  /** @type {any[]} */
  const chunks = [];
  const session = {
    connection,
    controller,
    chunks,
    error: /** @type {any} */ (undefined),
    over: false,
    done: /** @type {Promise<void>} */ (Promise.resolve()),
    /** @param {string} runId */
    of: (runId) => chunks.filter((chunk) => JSON.stringify(chunk).includes(`"${runId}`)),
    /** @param {string} runId */
    ended: (runId) =>
      chunks.some(({ type, runId: id }) => id === runId && (type === "RUN_FINISHED" || type === "RUN_ERROR")),
    /** @param {string} runId @param {string} [text] @param {AbortSignal} [signal] @param {object} [more] */
    send: (runId, text = "Hello", signal = undefined, more = {}) =>
      connection.send([userMessage(text, `u-${runId}`)], undefined, signal, { threadId: "t", runId, ...more }),
    async close() {
      controller.abort();
      await session.done;
    },
  };
  session.done = (async () => {
    try {
      for await (const chunk of connection.subscribe(controller.signal)) chunks.push(chunk);
    } catch (error) {
      session.error = error;
    }
    session.over = true;
  })();
  return session;
}

/** A server of the test's own. @param {(ws: import("ws").WebSocket, request: import("node:http").IncomingMessage) => void} serve */
export async function serveSockets(serve) {
  const sockets = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  sockets.on("connection", serve);
  await once(sockets, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (sockets.address());
  return {
    url: `ws://127.0.0.1:${port}/`,
    async close() {
      for (const ws of sockets.clients) ws.terminate();
      sockets.close();
      await once(sockets, "close");
    },
  };
}

/** @param {object} value */
export const frame = (value) => JSON.stringify(value);
