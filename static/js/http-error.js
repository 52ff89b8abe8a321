/** What a server said when it said no. Owns the reading of `{"error": "<sentence>", "code": "<code>"}`. */

import { retryAfter } from "./backoff.js";

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
