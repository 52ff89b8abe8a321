/**
 * What the two HTTP streams have in common: requests with all their options, one run per POST, resumed by
 * `Last-Event-ID`, joined by GET. Knows nothing of how chunks are framed: `readEvents` does.
 */

import { anySignal, abortable } from "./abort.js";
import { httpError, readBytes, resolveHeaders, resolveUrl } from "./http.js";
import { readResumable } from "./resume.js";
import { createRunInput } from "./run-input.js";
import { StreamReadError } from "./stream-errors.js";

/** @import {FetchOptions, FetchOptionsSource, ResumableConnection, RunContext} from "./types.js" */
/** @import {TaggedChunk, UrlSource} from "./types.js" */
/** @typedef {(bytes: AsyncIterable<Uint8Array>) => AsyncIterable<TaggedChunk | "done">} ReadEvents */
/** @typedef {{method: string, headers?: Record<string, string>, body?: string, search?: Record<string, string>}} Ask */

/**
 * @param {UrlSource} url @param {FetchOptionsSource} source @param {ReadEvents} readEvents
 * @returns {ResumableConnection}
 */
export function createFetchConnection(url, source, readEvents) {
  /** Asked for at every request. @param {AbortSignal} [signal] */
  const resolveOptions = (signal) => abortable(typeof source === "function" ? source() : source, signal);

  /** @param {Ask} ask @param {FetchOptions} options @param {AbortSignal} [signal] */
  async function request({ method, headers, body, search }, options, signal) {
    const { fetchClient = (input, init) => fetch(input, init), credentials } = options;
    const target = resolveUrl(url);
    for (const name in search) target.searchParams.set(name, search[name]);
    const all = await abortable(resolveHeaders(options.headers, headers), signal);
    const response = await fetchClient(target.href, { method, headers: all, body, credentials, signal }).catch(
      (error) => {
        throw new StreamReadError(error, "The server cannot be reached.");
      },
    );
    if (!response.ok) throw await httpError(response);
    return response;
  }

  /** One connection. @param {Ask} ask @param {AbortSignal} [signal] */
  async function* connection(ask, signal) {
    const options = await resolveOptions(signal);
    const controller = new AbortController();
    const silence = createSilenceWatch(options.ping, () => controller.abort());
    try {
      const response = await request(ask, options, anySignal(signal, controller.signal));
      if (response.headers.get("content-type")?.startsWith("text/html")) {
        throw new StreamReadError(undefined, "A page came instead of a stream.");
      }
      yield* readEvents(unbroken(readBytes(response, silence.heard)));
    } finally {
      silence.stop();
      controller.abort();
    }
  }

  /** @param {(options: FetchOptions) => Ask} createAsk @param {RunContext | undefined} run @param {AbortSignal} [given] */
  async function* read(createAsk, run, given) {
    const options = await resolveOptions(given);
    const signal = anySignal(given, options.signal);
    const { headers, ...ask } = createAsk(options);
    yield* readResumable((place) => connection({ ...ask, headers: { ...headers, ...place } }, signal), {
      run,
      signal,
      reconnect: options.reconnect,
    });
  }

  return {
    connect(messages, data, signal, run) {
      const id = /** @type {Record<string, string>} */ (run?.runId ? { "X-Run-Id": run.runId } : {});
      const headers = { ...run?.headers, "Content-Type": "application/json", ...id };
      return read(
        ({ body }) => ({ method: "POST", headers, body: JSON.stringify(createRunInput(messages, data, run, body)) }),
        run,
        signal,
      );
    },

    joinRun: (runId, signal) => read(() => ({ method: "GET", search: { offset: "-1", runId } }), { runId }, signal),

    async hydrate(threadId, { limit, before } = {}) {
      const search = {
        threadId,
        ...(limit !== undefined && { limit: String(limit) }),
        ...(before !== undefined && { before }),
      };
      const headers = { Accept: "application/json" };
      const options = await resolveOptions();
      const reply = await (await request({ method: "GET", headers, search }, options, options.signal)).json();
      return {
        messages: Array.isArray(reply?.messages) ? reply.messages : [],
        activeRun: reply?.activeRun ?? null,
        interrupts: reply?.interrupts ?? null,
        page: reply?.page?.truncated ? reply.page : { truncated: false },
      };
    },
  };
}

/** @param {AsyncIterable<Uint8Array>} bytes */
async function* unbroken(bytes) {
  try {
    yield* bytes;
  } catch (error) {
    throw new StreamReadError(error);
  }
}

/**
 * Calls back when a server that says something every `ping` ms has been quiet for 2.5 of them.
 *
 * @param {number | undefined} ping @param {() => void} onSilence
 */
function createSilenceWatch(ping, onSilence) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const stop = () => clearTimeout(timer);
  const heard = () => {
    stop();
    if (ping) timer = setTimeout(onSilence, 2.5 * ping);
  };
  heard();
  return { heard, stop };
}
