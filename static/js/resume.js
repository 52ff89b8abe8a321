/**
 * Reads one run's chunks to their end over as many connections as that takes.
 *
 * A server that tags its events can be asked to go on after the last one (`Last-Event-ID`); what it repeats is left
 * out. How often we ask in vain is bounded, how often with success is not. Without tags there is one connection.
 * Owns these decisions; what a connection is, its caller knows.
 */

import { pause } from "./abort.js";
import { createRunEnd } from "./chunks.js";
import { HttpError } from "./http.js";
import { DurableStreamIncompleteError, isPassing, StreamReconnectLimitError } from "./stream-errors.js";

/** @import {Chunk, ReconnectOptions, RunContext, TaggedChunk} from "./types.js" */

const SLOWEST = 8;

/**
 * The place in a run, and the patience with connections that bring nothing new.
 *
 * @param {ReconnectOptions} [options]   the pause before the n-th attempt in vain is n times `delayMs`, 8 times at most
 */
export function createResumePoint({ maxAttempts = 5, delayMs = 250 } = {}) {
  if (!Number.isInteger(maxAttempts) || maxAttempts < 0) {
    throw new RangeError(`reconnect.maxAttempts must be a whole number of at least 0, not ${maxAttempts}.`);
  }
  if (!Number.isFinite(delayMs) || delayMs < 0) {
    throw new RangeError(`reconnect.delayMs must be a number of at least 0, not ${delayMs}.`);
  }
  /** @type {Set<string>} */
  const seen = new Set();
  /** @type {string | undefined} */
  let lastId;
  let untagged = 0; // events since the last tagged one,
  let repeated = 0; // and how many of them the new connection has yet to repeat
  let attempts = 0;

  return {
    get lastId() {
      return lastId;
    },

    /** A connection begins: it brings what follows `lastId`. */
    begin() {
      repeated = lastId === undefined ? 0 : untagged;
    },

    /** Whether an event is new. An empty id resets the place, as in SSE. @param {string | undefined} id */
    isNew(id) {
      if (id === undefined) {
        const fresh = repeated === 0;
        if (repeated === 0) untagged += 1;
        else repeated -= 1;
        return fresh;
      }
      if (seen.has(id)) {
        repeated = id === lastId ? untagged : Infinity; // all that follows an older one is old
        return false;
      }
      repeated = untagged = 0;
      lastId = id || undefined;
      if (id) seen.add(id);
      else seen.clear();
      return true;
    },

    /**
     * Waits before the next attempt. Throws if there were too many in vain.
     *
     * @param {boolean} progressed   whether the last one brought anything
     * @param {AbortSignal} [signal] @param {unknown} [cause]
     */
    async wait(progressed, signal, cause) {
      attempts = progressed ? 0 : attempts + 1;
      if (attempts > maxAttempts) {
        throw cause instanceof DurableStreamIncompleteError ? cause : new StreamReconnectLimitError(maxAttempts, cause);
      }
      const floor = cause instanceof HttpError ? cause.retryAfter : 0;
      await pause(Math.max(floor, delayMs * Math.min(Math.max(attempts, 1), SLOWEST)), signal);
    },
  };
}

/**
 * @param {(headers: Record<string, string>, signal?: AbortSignal) => AsyncIterable<TaggedChunk | "done">} open
 *   one connection; "done" says that nothing more will come, whatever has come
 * @param {{run?: RunContext, signal?: AbortSignal, reconnect?: ReconnectOptions}} options
 * @returns {AsyncGenerator<Chunk, void, void>}
 */
export async function* readResumable(open, { run, signal, reconnect }) {
  const place = createResumePoint(reconnect);
  const end = createRunEnd(run);

  for (;;) {
    signal?.throwIfAborted();
    place.begin();
    let progressed = false;
    /** @type {unknown} */
    let cause;
    try {
      const headers = place.lastId === undefined ? {} : { "Last-Event-ID": place.lastId };
      for await (const event of open(/** @type {Record<string, string>} */ (headers), signal)) {
        if (event === "done") {
          if (!end.over) yield end.finished();
          return;
        }
        if (!place.isNew(event.id)) continue;
        progressed = true;
        end.note(event.chunk);
        yield event.chunk;
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (place.lastId === undefined || !isPassing(error)) throw error;
      cause = error;
    }
    signal?.throwIfAborted();
    if (place.lastId === undefined) return; // nothing to go on from: what came is all there is
    if (!cause && end.over) return;
    try {
      await place.wait(progressed, signal, cause ?? new DurableStreamIncompleteError());
    } catch (error) {
      // Nothing is missing if the run had ended; we only asked whether another turn had begun.
      if (!end.over || signal?.aborted) throw error;
      return;
    }
  }
}
