/**
 * A durable session as a TanStack connection adapter: chunks, one by one, whoever's run they belong to.
 * Owns what a subscription begins with, whose tool requests are passed on, and stopping a run that was given up.
 */

import { anySignal } from "./abort.js";
import { catchUp } from "./catch-up.js";
import { createReducer } from "./chat-reducer.js";
import { createOwnership, isTerminal } from "./chunks.js";
import { withoutToolRequests } from "./client-tools.js";
import { durableConnection } from "./durable-connection.js";
import { HttpError, postJson } from "./http.js";

/** @import {Chunk, ConnectionStatus, DurableConnection, SubscribeConnection} from "./types.js" */
/** @import {DurableConnectionOptions, DurableStreamExtras} from "./types.js" */

/**
 * A picture or file of a person: no event of AG-UI can say it, so a client learns of it by being told all again.
 *
 * @param {Chunk} chunk
 */
const isUnheard = ({ type, name }) => type === "CUSTOM" && name === "message.part";

/**
 * Published name and options, and what is told in types.js. Beyond the published one it follows its stream through
 * any trouble, waits for one that nobody has written to, and says of which runs a newcomer sees the rest.
 *
 * @param {DurableConnectionOptions & DurableStreamExtras} options
 * @returns {DurableConnection & SubscribeConnection}
 */
export function durableStreamConnection(options) {
  const { emitSnapshotOnSubscribe = true, snapshot, stopUrl, chatId, headers, credentials } = options;
  const { fetchClient = (input, init) => fetch(input, init) } = options;
  const connection = durableConnection({ initialOffset: snapshot?.offset, ...options });
  const sendTo = connection.send;
  const ownerOf = createOwnership();
  /** Runs sent from here: only they may ask for a tool here. @type {Set<string>} */
  const own = new Set();
  /** How to forget the signal of a run under way. @type {Map<string, () => void>} */
  const watched = new Map();
  let subscriptions = 0;
  let live = false;

  /** The conversation, if all of it is known. @type {ReturnType<typeof createReducer> | undefined} */
  let history = emitSnapshotOnSubscribe && snapshot ? createReducer(snapshot) : undefined;
  /** What nobody has taken yet. @type {IterableIterator<Chunk>} */
  let rest = history ? [...catchUp(snapshot)].values() : [].values();

  /** @param {AbortSignal} [signal] @returns {Generator<Chunk, void, void>} */
  function* takeRest(signal) {
    for (const chunk of rest) {
      const runId = ownerOf(chunk) ?? "";
      const mine = own.has(runId) ? chunk : withoutToolRequests(chunk);
      if (isTerminal(chunk)) {
        watched.get(runId)?.();
        own.delete(runId);
      }
      if (mine) yield mine;
      if (signal?.aborted) return;
    }
  }

  /**
   * Stops the run on the server when `signal` is aborted before the run has ended.
   *
   * @param {string} runId @param {AbortSignal} signal
   */
  function watch(runId, signal) {
    const forget = () => {
      watched.delete(runId);
      signal.removeEventListener("abort", stop);
    };
    const stop = () => {
      forget();
      // By then it is known whether everybody has left, which stops nothing.
      queueMicrotask(() => {
        if (!stopUrl || subscriptions === 0) return;
        const request = { headers, credentials, fetchClient, keepalive: true };
        postJson(stopUrl, { id: chatId, runId }, request).catch(() => {}); // the answer goes on being shown
      });
    };
    signal.addEventListener("abort", stop);
    watched.set(runId, forget);
  }

  return Object.assign(connection, {
    /** @type {SubscribeConnection["subscribe"]} */
    async *subscribe(given) {
      const signal = anySignal(given, options.signal);
      if (signal?.aborted) return;
      let behind = emitSnapshotOnSubscribe && connection.offset === undefined;
      if (behind) history = createReducer(); // an early end starts over
      /** @type {ConnectionStatus | undefined} */
      let status;
      const forget = connection.onStatus((now) => {
        status = now;
        live = now.state === "live";
      });
      subscriptions += 1;
      const leave = () => {
        signal?.removeEventListener("abort", leave);
        if (--subscriptions === 0) live = false;
      };
      signal?.addEventListener("abort", leave);
      try {
        yield* takeRest(signal);
        for await (const batch of connection.follow(signal, { patient: true })) {
          for (const chunk of batch.items) history?.apply(chunk);
          if (behind && !batch.upToDate) continue;
          const retold = history && (behind || batch.items.some(isUnheard)) ? catchUp(history.snapshot()) : [];
          rest = [...(behind ? [] : batch.items), ...retold].values();
          behind = false;
          connection.offset = batch.offset;
          yield* takeRest(signal);
        }
        if (status?.state === "gone") {
          const { error = "The conversation is gone.", status: code = 0 } = status;
          throw new HttpError(error, { status: code, code: status.code });
        }
      } finally {
        forget();
        if (!signal?.aborted) leave();
        if (subscriptions === 0) for (const unwatch of watched.values()) unwatch();
      }
    },

    /** @type {SubscribeConnection["send"]} */
    async send(messages, data, given, run) {
      const signal = anySignal(given, options.signal);
      signal?.throwIfAborted();
      const { runId } = run ?? {};
      if (runId) own.add(runId);
      if (runId && stopUrl && signal) watch(runId, signal);
      try {
        await sendTo(messages, data, signal, run);
      } catch (error) {
        watched.get(runId ?? "")?.();
        throw error;
      }
      if (subscriptions > 0 && !live) connection.retryNow(); // it may have waited for this message
    },
  });
}
