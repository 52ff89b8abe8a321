/**
 * Follows what a server has to tell for ever: catches up, then stays live, through cuts, sleep and restarts.
 * Owns requests, timers and wake-ups; stream-state.js decides what they mean, a dialect how they are put.
 */

import { httpError, readBytes, resolveHeaders, resolveUrl } from "./http.js";
import { createSseParser } from "./sse-parser.js";
import {
  advance,
  BEGINNING,
  CONTROL_DEADLINE,
  initialState,
  isLive,
  isOver,
  patience,
  plan,
} from "./stream-state.js";

/** @import {Batch, ConnectionStatus, Dialect, Environment, FollowOptions, Plan, StreamEvent, StreamState} from "./types.js" */
/** @typedef {"stopped" | "silent" | "failed" | "dropped" | "changed"} Reason   why we let go of a request */

const WATCH_EVERY = 1_000;
const WAKE_EVENTS = ["online", "offline", "pageshow", "visibilitychange", "retry", "reopen"];

/** @returns {Environment} */
export const browserEnvironment = () => ({
  now: Date.now,
  random: Math.random,
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  clearTimeout: (timer) => clearTimeout(timer),
  online: () => globalThis.navigator?.onLine !== false,
  events: globalThis.window,
});

/**
 * Yields batches from `offset` on. Ends when the stream is closed or gone (see onStatus) or `signal` is
 * aborted; never throws because of the network.
 *
 * @param {FollowOptions & {dialect: Dialect}} options
 * @returns {AsyncGenerator<Batch, void, void>}
 */
export async function* follow({
  url,
  offset,
  patient = false,
  headers,
  credentials,
  fetchClient = fetch,
  signal,
  onStatus = () => {},
  nudges,
  ping = 15_000,
  dialect,
  env = browserEnvironment(),
}) {
  let state = initialState(offset);
  const report = createReporter(env, onStatus);

  /** Lets go of the pause or the request under way; in doubt only of one that is too quiet. */
  let letGo = (/** @type {Reason} */ _reason, _doubt = false) => {};
  /** @param {Event} event */
  const wake = (event) => {
    const glance = event.type === "pageshow" && !(/** @type {PageTransitionEvent} */ (event).persisted);
    letGo(event.type === "reopen" ? "changed" : "dropped", glance || event.type === "visibilitychange");
  };
  const stop = () => {
    letGo("stopped");
    listen("removeEventListener");
  };
  /** @param {"addEventListener" | "removeEventListener"} change */
  const listen = (change) => {
    signal?.[change]("abort", stop);
    for (const type of WAKE_EVENTS) {
      env.events?.[change](type, wake);
      nudges?.[change](type, wake);
    }
  };
  listen("addEventListener");

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
    const { phase } = state;
    const controller = new AbortController();
    const startedAt = env.now();
    let heardAt = startedAt;
    const heard = () => (heardAt = env.now());
    /** @type {number | undefined} */
    let openedAt;
    /** @type {Reason | undefined} */
    let reason;

    letGo = (why, doubt) => {
      if (doubt && env.now() - heardAt < (phase === "sse" ? 1.2 * ping : 5_000)) return;
      reason ??= why;
      env.clearTimeout(timer);
      controller.abort();
    };
    // Looks at the clock rather than trusting one long timer: timers stop while a machine sleeps.
    const watch = () => {
      timer = env.setTimeout(watch, WATCH_EVERY);
      const now = env.now();
      if (phase === "sse" && !state.controls && now - startedAt >= CONTROL_DEADLINE) letGo("silent");
      if (now - heardAt >= patience(state, ping)) letGo("failed");
    };
    let timer = env.setTimeout(watch, WATCH_EVERY);

    try {
      const target = resolveUrl(url);
      const asked = dialect.query(query);
      for (const name in asked) target.searchParams.set(name, asked[name]);
      const response = await fetchClient(target.href, {
        headers: await resolveHeaders(headers),
        credentials,
        cache: "no-store",
        signal: controller.signal,
      });
      openedAt = heard();
      if (!response.ok) {
        const { passing, status, code, message, retryAfter } = await httpError(response, env.now());
        if (patient && state.offset === BEGINNING && status === 404 && !code) yield { type: "absent", at: env.now() };
        else if (passing) yield { type: "failed", at: env.now(), floor: retryAfter };
        else yield { type: "refused", status, code, error: message };
      } else if (phase !== "sse") {
        yield { type: "page", at: env.now(), ...(await dialect.page(response, heard)) };
      } else if (!isEventStream(response)) {
        yield { type: "silent", at: env.now() };
      } else {
        const parser = createSseParser();
        for await (const bytes of readBytes(response, heard)) {
          for (const told of parser.feed(bytes)) {
            for (const event of dialect.events(told)) yield /** @type {StreamEvent} */ ({ ...event, at: env.now() });
          }
        }
        yield { type: "ended", at: env.now(), lived: env.now() - openedAt };
      }
    } catch {
      const at = env.now();
      const lived = openedAt && at - openedAt;
      if (reason !== "stopped") yield { type: reason ?? "failed", at, lived };
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
        report.attempt(state, next.at);
        if (!(await pause(next.at))) {
          state = advance(state, { type: "dropped", at: env.now() });
          continue;
        }
      }
      report.attempt(state);
      state = advance(state, { type: "asked", at: env.now(), plan: next });
      for await (const event of exchange(next)) {
        state = advance(state, event);
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
 * Tells the connection's status when it changes. One trouble has one `since`, however often it is tried.
 *
 * @param {Environment} env @param {(status: ConnectionStatus) => void} onStatus
 */
function createReporter(env, onStatus) {
  /** @type {number | undefined} */
  let troubleSince;
  let missed = 0;
  /** @type {Omit<ConnectionStatus, "since"> | undefined} */
  let told;

  /** @param {Omit<ConnectionStatus, "since">} status */
  const tell = (status) => {
    if (status.state === told?.state && status.retryAt === told.retryAt) return;
    told = status;
    onStatus({ ...status, since: troubleSince ?? env.now() });
  };
  tell({ state: "connecting" });

  return {
    /** @param {StreamState} state @param {number} [retryAt] */
    attempt({ resting }, retryAt) {
      if (resting) troubleSince ??= env.now();
      if (troubleSince !== undefined) tell({ state: env.online() ? "reconnecting" : "offline", retryAt });
    },
    /** @param {StreamState} state */
    state(state) {
      const { phase, refusal, batch } = state;
      if (troubleSince !== undefined) missed += batch?.items.length ?? 0;
      if (phase === "gone") tell({ state: "gone", ...refusal });
      if (phase === "closed") tell({ state: "closed" });
      if (!isLive(state)) return;
      const caughtUp = troubleSince === undefined ? undefined : missed;
      troubleSince = undefined;
      missed = 0;
      tell({ state: "live", caughtUp });
    },
  };
}

/** @param {Response} response */
function isEventStream({ headers }) {
  const type = headers.get("content-type");
  if (type === null) throw new Error("A reply whose headers were cut off.");
  return type.startsWith("text/event-stream");
}
