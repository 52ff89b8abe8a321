/**
 * Follows one JSON stream for ever: catches up, then stays live, through cuts, sleep and restarts.
 * Owns requests, timers and wake-ups; stream-state.js decides what they mean.
 */

import { httpError } from "./http-error.js";
import { createSseParser } from "./sse-parser.js";
import {
  advance,
  CONTROL_DEADLINE,
  initialState,
  isLive,
  isOver,
  patience,
  plan,
} from "./stream-state.js";

/** @import {Batch, ConnectionStatus, Environment, Fetch, HeaderSource} from "./types.js" */
/** @import {Page, Plan, StreamEvent, StreamState} from "./stream-state.js" */
/** @typedef {"stopped" | "silent" | "stalled" | "woken" | "doubted"} Reason   why we let go of a request */

const WATCH_EVERY = 1_000;
const WAKE_EVENTS = ["online", "offline", "pageshow", "visibilitychange", "retry"];

/** @returns {Environment} */
export const browserEnvironment = () => ({
  now: Date.now,
  random: Math.random,
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  clearTimeout: (timer) => clearTimeout(timer),
  online: () => globalThis.navigator?.onLine !== false,
  events: globalThis.window,
});

/** @param {HeaderSource} [source] static, a function, or an async function @returns {Promise<Headers>} */
export async function resolveHeaders(source) {
  return new Headers(typeof source === "function" ? await source() : source);
}

/** Relative addresses belong to the page. @param {string | URL} url */
export const resolveUrl = (url) => new URL(url, globalThis.document?.baseURI);

/**
 * Yields batches from `offset` on. Ends when the stream is closed or gone (see onStatus) or `signal` is
 * aborted; never throws because of the network.
 *
 * @param {object} options
 * @param {string | URL} options.url
 * @param {string} [options.offset]      the beginning unless given
 * @param {HeaderSource} [options.headers]
 * @param {Fetch} [options.fetchClient]
 * @param {AbortSignal} [options.signal]
 * @param {(status: ConnectionStatus) => void} [options.onStatus]
 * @param {EventTarget} [options.nudges]   "retry" on it means: try now
 * @param {number} [options.ping]        ms between two pings of the server
 * @param {Environment} [options.env]
 * @returns {AsyncGenerator<Batch, void, void>}
 */
export async function* followStream({
  url,
  offset,
  headers,
  fetchClient = fetch,
  signal,
  onStatus = () => {},
  nudges,
  ping = 15_000,
  env = browserEnvironment(),
}) {
  let state = initialState(offset);
  const report = createReporter(env, onStatus);

  /** Lets go of the pause or the request under way. @type {(reason: Reason) => void} */
  let letGo = () => {};
  const stop = () => {
    letGo("stopped");
    signal?.removeEventListener("abort", stop);
    for (const type of WAKE_EVENTS) {
      env.events?.removeEventListener(type, wake);
      nudges?.removeEventListener(type, wake);
    }
  };
  /** @param {Event} event */
  const wake = (event) => {
    const { type } = event;
    const sure = type === "pageshow" ? /** @type {PageTransitionEvent} */ (event).persisted : type !== "visibilitychange";
    letGo(sure ? "woken" : "doubted");
  };
  signal?.addEventListener("abort", stop);
  for (const type of WAKE_EVENTS) {
    env.events?.addEventListener(type, wake);
    nudges?.addEventListener(type, wake);
  }

  /** True if the time came by itself. @param {number} until @returns {Promise<boolean>} */
  const pause = (until) =>
    new Promise((resolve) => {
      const timer = env.setTimeout(() => resolve(true), until - env.now());
      letGo = () => {
        env.clearTimeout(timer);
        resolve(false);
      };
    });

  /** One request and its reply, as events. @param {Plan} asked @returns {AsyncGenerator<StreamEvent, void, void>} */
  async function* exchange({ query }) {
    const startedAt = env.now();
    const { phase } = state;
    const controller = new AbortController();
    /** @type {Reason | undefined} */
    let reason;
    /** @type {number | undefined} */
    let openedAt;
    let heardAt = startedAt;
    const heard = () => (heardAt = env.now());

    letGo = (why) => {
      const quiet = env.now() - heardAt;
      if (why === "doubted" && quiet < (phase === "sse" ? 1.2 * ping : 5_000)) return;
      reason ??= why;
      env.clearTimeout(timer);
      controller.abort();
    };
    // Looks at the clock rather than trusting one long timer: timers stop while a machine sleeps.
    const watch = () => {
      const now = env.now();
      if (phase === "sse" && state.controls === 0 && now - startedAt >= CONTROL_DEADLINE) letGo("silent");
      else if (now - heardAt >= patience(state, ping)) letGo("stalled");
      else timer = env.setTimeout(watch, WATCH_EVERY);
    };
    let timer = env.setTimeout(watch, WATCH_EVERY);

    try {
      const target = resolveUrl(url);
      for (const [name, value] of Object.entries(query)) target.searchParams.set(name, value);
      const response = await fetchClient(target.href, {
        headers: await resolveHeaders(headers),
        cache: "no-store",
        signal: controller.signal,
      });
      openedAt = heard();
      if (!response.ok) {
        const { passing, status, code, message, retryAfter } = await httpError(response, env.now());
        yield passing
          ? { type: "failed", at: env.now(), floor: retryAfter }
          : { type: "refused", status, code, error: message };
      } else if (phase !== "sse") {
        yield { type: "page", at: env.now(), ...(await readPage(response, heard)) };
      } else if (!response.headers.get("content-type")?.startsWith("text/event-stream")) {
        yield { type: "silent", at: env.now() };
      } else {
        const parse = createSseParser();
        for await (const bytes of chunks(response, heard)) {
          for (const { type, data } of parse(bytes)) {
            if (type === "data") yield { type, items: readItems(data) };
            else if (type === "control") yield { type, at: env.now(), ...readControl(data) };
          }
        }
        yield { type: "ended", at: env.now(), lived: env.now() - openedAt };
      }
    } catch {
      const at = env.now();
      const lived = openedAt === undefined ? undefined : at - openedAt;
      if (reason === "silent") yield { type: "silent", at };
      else if (reason === "woken" || reason === "doubted") yield { type: "dropped", at };
      else if (reason === "stalled" && phase === "sse") {
        report.trouble();
        yield { type: "dropped", at };
      } else if (reason !== "stopped") yield { type: "failed", at, lived };
    } finally {
      env.clearTimeout(timer);
      letGo = () => {};
      controller.abort();
    }
  }

  try {
    while (!signal?.aborted && !isOver(state)) {
      const next = plan(state, env.now(), env.random);
      if (next.at > env.now()) {
        report.waiting(next.at);
        if (!(await pause(next.at))) {
          state = advance(state, { type: "dropped", at: env.now() });
          continue;
        }
      }
      state = advance(state, { type: "asked", at: env.now(), plan: next });
      for await (const event of exchange(next)) {
        state = advance(state, event);
        if (event.type === "failed") report.trouble();
        report.state(state);
        if (state.batch) yield state.batch;
        if (signal?.aborted || isOver(state)) break;
      }
    }
  } finally {
    stop();
  }
}

/**
 * Turns what happens into connection statuses: silent while all is well, one `since` per trouble.
 *
 * @param {Environment} env @param {(status: ConnectionStatus) => void} onStatus
 */
function createReporter(env, onStatus) {
  /** @type {ConnectionStatus} */
  let status = { state: "connecting", since: env.now() };
  let missed = 0;
  const inTrouble = () => status.state === "reconnecting" || status.state === "offline";

  /** @param {Omit<ConnectionStatus, "since">} next @param {number} [since] */
  const set = (next, since = env.now()) => {
    status = { ...next, since };
    onStatus(status);
  };
  set(status);

  return {
    trouble() {
      const began = inTrouble() ? status.since : env.now();
      if (!inTrouble()) missed = 0;
      set({ state: env.online() ? "reconnecting" : "offline" }, began);
    },
    /** @param {number} retryAt */
    waiting(retryAt) {
      if (inTrouble()) set({ state: status.state, retryAt }, status.since);
    },
    /** @param {StreamState} state */
    state(state) {
      missed += state.batch?.items.length ?? 0;
      if (state.phase === "gone") set({ state: "gone", ...state.refusal });
      else if (state.phase === "closed") set({ state: "closed" });
      else if (isLive(state) && status.state !== "live") {
        set(inTrouble() ? { state: "live", caughtUp: missed } : { state: "live" });
      }
    },
  };
}

/** @param {Response} response @param {() => void} heard */
async function* chunks({ body }, heard) {
  if (!body) return;
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** @param {string} json @returns {any[]} */
function readItems(json) {
  const value = json.trim() === "" ? [] : JSON.parse(json);
  return Array.isArray(value) ? value : [value];
}

/** @param {string} json @returns {Omit<Page, "items">} */
function readControl(json) {
  const { streamNextOffset, streamCursor, upToDate, streamClosed } = JSON.parse(json);
  if (typeof streamNextOffset !== "string") throw new Error("A control event without an offset.");
  const closed = streamClosed === true;
  return { offset: streamNextOffset, cursor: streamCursor, upToDate: closed || upToDate === true, closed };
}

/** @param {Response} response @param {() => void} heard @returns {Promise<Page>} */
async function readPage(response, heard) {
  const header = (/** @type {string} */ name) => response.headers.get(name) ?? undefined;
  const offset = header("stream-next-offset");
  if (offset === undefined && response.status !== 204) throw new Error("Not a stream.");
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of chunks(response, heard)) text += decoder.decode(bytes, { stream: true });
  const closed = header("stream-closed")?.toLowerCase() === "true";
  return {
    items: readItems(text + decoder.decode()),
    offset,
    cursor: header("stream-cursor"),
    upToDate: closed || response.status === 204 || header("stream-up-to-date")?.toLowerCase() === "true",
    closed,
  };
}
