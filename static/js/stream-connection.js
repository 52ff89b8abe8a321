/** Runs whose chunks a function of the app brings: in-process, a server function, an RPC client. */

import { abortable, abortableItems } from "./abort.js";

/** @import {Chunk, ConnectConnection, ConnectionHandlers, RunContext} from "./types.js" */
/**
 * @typedef {(messages: any[], data?: Record<string, any>, signal?: AbortSignal, run?: RunContext) => (
 *   AsyncIterable<Chunk> | Promise<AsyncIterable<Chunk>>)} StreamFactory
 */

/**
 * Calls `factory` once per message. An abort ends the run even if the factory takes no notice of its signal.
 *
 * @param {StreamFactory} factory @param {ConnectionHandlers} [handlers] @returns {ConnectConnection}
 */
export function stream(factory, handlers = {}) {
  /** @type {ConnectConnection} */
  const connection = {
    async *connect(messages, data, signal, run) {
      signal?.throwIfAborted();
      yield* abortableItems(await abortable(factory(messages, data, signal, run), signal), signal);
    },
  };
  // Not at all rather than undefined: clients look which ones are there.
  for (const [name, handler] of Object.entries(handlers)) if (handler) Object.assign(connection, { [name]: handler });
  return connection;
}

/** The same, by the name that reads well with an RPC client. @type {typeof stream} */
export const rpcStream = (call, handlers) => stream(call, handlers);
