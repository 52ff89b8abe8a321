/**
 * Requests as our servers like them, what they say when they say no: `{"error": "<sentence>", "code"}`, and asking
 * again until they have answered.
 */

/** @import {Fetch, HeaderSource, PersistOptions, UrlSource} from "./types.js" */

const ANSWER_WITHIN = 15_000;
const STRIKES = 5;
const BASE = 1000;
const CEILING = 32_000;
const LONGEST_FLOOR = 3_600_000; // a timer set for more than 24 days would fire at once

export class HttpError extends Error {
  /**
   * @param {string} sentence
   * @param {{status: number, code?: string, retryAfter?: number}} details   retryAfter in ms
   */
  constructor(sentence, { status, code, retryAfter = 0 }) {
    super(sentence);
    this.name = "HttpError";
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }

  /** Whether the same request may succeed later. */
  get passing() {
    return this.status >= 500 || [408, 425, 429].includes(this.status);
  }
}

/**
 * Retry-After, which is seconds or an HTTP date, as ms from now (an hour at most); 0 when absent or unreadable.
 *
 * @param {string | null | undefined} value
 * @param {number} now   ms since the epoch
 */
export function retryAfter(value, now) {
  if (!value) return 0;
  const ms = /^\s*\d+\s*$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
  return ms > 0 ? Math.min(ms, LONGEST_FLOOR) : 0;
}

/** An id nobody else makes, which makes repeats harmless. On plain http too, where there is no crypto.randomUUID. */
export function createId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * How long to wait before trying again, in ms. Full jitter under a ceiling that doubles: 1 s, 2 s, … 32 s. The jitter
 * comes on top of the server's floor, so that readers told the same Retry-After do not all return in the same instant.
 *
 * @param {number} attempt   0 before the first retry
 * @param {() => number} random
 * @param {number} [floor]
 */
export function backoff(attempt, random, floor = 0) {
  return floor + random() * Math.min(CEILING, BASE * 2 ** attempt);
}

/** @param {Response} response @param {number} [now] @returns {Promise<HttpError>} */
export async function httpError(response, now = Date.now()) {
  /** @type {any} */
  const body = await response.json().catch(() => undefined);
  const sentence = typeof body?.error === "string" ? body.error : `The server answered ${response.status}.`;
  // Whoever reports it can say which of the errors in the log it was.
  return new HttpError(body?.reference ? `${sentence} (${body.reference})` : sentence, {
    status: response.status,
    code: typeof body?.code === "string" ? body.code : undefined,
    retryAfter: retryAfter(response.headers.get("retry-after"), now),
  });
}

/**
 * @param {HeaderSource} [source] static, a function, or an async function
 * @param {Record<string, string>} [extra] wins
 */
export async function resolveHeaders(source, extra = {}) {
  const headers = new Headers(typeof source === "function" ? await source() : source);
  for (const name in extra) headers.set(name, extra[name]);
  return headers;
}

/** Relative addresses belong to the page. @param {UrlSource} url asked for at every request if it is a function */
export const resolveUrl = (url) => new URL(typeof url === "function" ? url() : url, globalThis.document?.baseURI);

/**
 * The body as it comes. Who leaves early lets go of the connection.
 *
 * @param {Response} response @param {() => void} [heard]
 */
export async function* readBytes({ body }, heard) {
  if (!body) return;
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard?.();
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
    reader.releaseLock();
  }
}

/** @typedef {{headers?: HeaderSource, extraHeaders?: Record<string, string>, fetchClient?: Fetch} & Omit<RequestInit, "headers">} JsonOptions */

/** Posts `body` as JSON; throws HttpError unless the answer is a success. @param {UrlSource} url @param {object} body @param {JsonOptions} options */
export const postJson = (url, body, options) => sendJson("POST", url, body, options);

/** @param {string} method @param {UrlSource} url @param {object} [body] @param {JsonOptions} [options] */
export async function sendJson(method, url, body, { headers, extraHeaders, fetchClient = (input, init) => fetch(input, init), ...init } = {}) {
  const response = await fetchClient(resolveUrl(url).href, {
    ...init,
    method,
    headers: await resolveHeaders(headers, { ...extraHeaders, "Content-Type": "application/json" }),
    body: JSON.stringify(body),
  });
  if (!response.ok) throw await httpError(response);
  return response;
}

/**
 * Repeats an idempotent request until it is answered: the request, not its reply, is what must not be lost.
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
