/** Repeats an idempotent request until it is answered: the request, not its reply, is what must not be lost. */

import { backoff } from "./backoff.js";
import { HttpError } from "./http.js";

/** @import {PersistOptions} from "./types.js" */

const ANSWER_WITHIN = 15_000;
const STRIKES = 5;

/**
 * Throws the last error when the server says no for good, when `signal` is aborted, or after five
 * failures while everything else works. Without a connection it goes on for ever.
 *
 * @template T
 * @param {(signal: AbortSignal) => Promise<T>} request
 * @param {PersistOptions} options
 * @returns {Promise<T | undefined>}          undefined if settled
 */
export async function persist(request, { env, signal, nudges, connected, settled = () => false }) {
  for (let attempt = 0, strikes = 0; !settled(); attempt++) {
    const controller = new AbortController();
    const abort = () => controller.abort();
    const timer = env.setTimeout(abort, ANSWER_WITHIN);
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
    try {
      return await request(controller.signal);
    } catch (error) {
      if (settled()) return undefined;
      const answered = error instanceof HttpError;
      if (connected()) strikes += 1;
      if (signal.aborted || (answered && !error.passing) || strikes >= STRIKES) throw error;
      const floor = answered ? error.retryAfter : 0;
      await pause(backoff(attempt, env.random, floor), { env, signal, nudges: floor ? undefined : nudges });
    } finally {
      env.clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    }
  }
  return undefined;
}

/** @param {number} ms @param {Pick<PersistOptions, "env" | "signal"> & Partial<PersistOptions>} ends */
function pause(ms, { env, signal, nudges }) {
  return /** @type {Promise<void>} */ (
    new Promise((resolve) => {
      const end = () => {
        env.clearTimeout(timer);
        signal.removeEventListener("abort", end);
        nudges?.removeEventListener("nudge", end);
        resolve();
      };
      const timer = env.setTimeout(end, ms);
      signal.addEventListener("abort", end);
      nudges?.addEventListener("nudge", end);
    })
  );
}
