/** Requests as our servers like them, and what they say when they say no: `{"error": "<sentence>", "code"}`. */

import { retryAfter } from "./backoff.js";

/** @import {Fetch, HeaderSource} from "./types.js" */

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

/** @param {Response} response @param {number} [now] @returns {Promise<HttpError>} */
export async function httpError(response, now = Date.now()) {
  /** @type {any} */
  const body = await response.json().catch(() => undefined);
  const sentence = typeof body?.error === "string" ? body.error : `The server answered ${response.status}.`;
  return new HttpError(sentence, {
    status: response.status,
    code: typeof body?.code === "string" ? body.code : undefined,
    retryAfter: retryAfter(response.headers.get("retry-after"), now),
  });
}

/** @param {HeaderSource} [source] static, a function, or an async function @returns {Promise<Headers>} */
export async function resolveHeaders(source) {
  return new Headers(typeof source === "function" ? await source() : source);
}

/** Relative addresses belong to the page. @param {string | URL} url */
export const resolveUrl = (url) => new URL(url, globalThis.document?.baseURI);

/**
 * Posts `body` as JSON; throws HttpError unless the answer is a success.
 *
 * @param {string} url @param {object} body
 * @param {{headers?: HeaderSource, extraHeaders?: Record<string, string>, fetchClient: Fetch, signal?: AbortSignal}} options
 */
export async function postJson(url, body, { headers, extraHeaders = {}, fetchClient, signal }) {
  const all = await resolveHeaders(headers);
  for (const name in extraHeaders) all.set(name, extraHeaders[name]);
  all.set("Content-Type", "application/json");
  const response = await fetchClient(resolveUrl(url).href, {
    method: "POST",
    headers: all,
    body: JSON.stringify(body),
    signal,
  });
  if (!response.ok) throw await httpError(response);
  return response;
}
