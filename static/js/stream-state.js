/**
 * What a reader of one stream knows, and what it asks next. Pure: a table of (phase, event) → state.
 *
 *     catch-up ──up to date──▶ sse ◀──after 5 min── long-poll
 *        ▲                      │  ──cannot work──▶     │
 *        └───── failed, dropped ┴───────────────────────┘      any ──▶ closed | gone
 *
 * Three rules carry it: events count only once the control event (or the page) that names the next
 * offset is there; an offset never goes back, so a batch that comes twice counts once; and after any
 * failure the next request is a plain read, which tells at once whether the server is there.
 */

import { backoff } from "./http.js";

/** @import {Page, Phase, Plan, StreamEvent, StreamState} from "./types.js" */
/** @template {StreamEvent["type"]} T @typedef {import("./types.js").Move<T>} Move */

export const BEGINNING = "-1";
export const CONTROL_DEADLINE = 3_000;
export const SSE_BLOCKED_FOR = 300_000;
const SHORT_LIFE = 1_000;
const SHORT_LIVES = 3;
const AT_ONCE = 250;
const POLLING = 2; // failures that count while plain reads work: polls at least every 4 s

/** @param {string} [offset] @returns {StreamState} */
export function initialState(offset = BEGINNING) {
  return {
    phase: "catch-up",
    offset,
    upToDate: false,
    pending: [],
    controls: 0,
    drained: false,
    failures: 0,
    resting: false,
    shortLives: 0,
    sseAfter: 0,
    notBefore: 0,
    askedKey: "",
    askedAt: 0,
    repeats: 0,
  };
}

/** @param {StreamState} state */
export const isOver = (state) => state.phase === "closed" || state.phase === "gone";

/** Caught up, and told of whatever comes next. @param {StreamState} state */
export const isLive = (state) =>
  state.upToDate && (state.phase === "long-poll" || (state.phase === "sse" && state.controls > 0));

/**
 * The next request and when it may begin. The same request must not be made twice without a pause.
 *
 * @param {StreamState} state @param {number} now @param {() => number} random
 * @returns {Plan}
 */
export function plan(state, now, random) {
  const key = `${state.phase} ${state.offset}`;
  const again = key === state.askedKey && now - state.askedAt < AT_ONCE;
  const repeats = again ? state.repeats + 1 : 0;
  const tries = state.resting ? state.failures : repeats;
  const floor = Math.max(now, state.notBefore);
  /** @type {Record<string, string>} */
  const query = { offset: state.offset };
  if (state.phase !== "catch-up") query.live = state.phase;
  if (state.phase !== "catch-up" && state.cursor) query.cursor = state.cursor;
  // Even what went well rests before it is asked again: half a second at most, so that not all come back at once.
  return { key, repeats, query, at: state.resting || repeats > 0 ? backoff(tries - 1, random, floor) : floor };
}

/**
 * How long the reply under way may stay without a byte. SSE pings; a plain read should answer soon;
 * a long-poll may be held for as long as the server likes, in practice under half a minute.
 *
 * @param {StreamState} state @param {number} ping   ms between two pings of the server
 */
export function patience(state, ping) {
  if (state.phase === "sse") return 2.5 * ping;
  return state.phase === "long-poll" ? 45_000 : 20_000;
}

/** @param {string} a @param {string} b */
export const isAfter = (a, b) => (b === BEGINNING || b === "now" ? a !== b : a > b);

/** @param {StreamState} state @param {number} at @returns {Phase} */
const liveMode = (state, at) => (at >= state.sseAfter ? "sse" : "long-poll");

/** @param {StreamState} state @param {Page} page @returns {StreamState} */
function commit(state, { items, offset = state.offset, cursor = state.cursor, upToDate, closed }) {
  const moved = isAfter(offset, state.offset);
  const next = moved ? offset : state.offset;
  const news = moved || closed || upToDate !== state.upToDate;
  return {
    ...state,
    phase: closed ? "closed" : state.phase,
    offset: next,
    cursor,
    upToDate,
    pending: [],
    failures: moved ? 0 : state.failures,
    batch: news ? { items: moved ? items : [], offset: next, upToDate: upToDate || closed } : undefined,
  };
}

/** @param {StreamState} state @param {number} at @returns {StreamState} */
const withoutSse = (state, at) => ({
  ...state,
  phase: state.phase === "sse" ? "long-poll" : state.phase,
  pending: [],
  shortLives: 0,
  sseAfter: at + SSE_BLOCKED_FOR,
});

/** @param {StreamState} state @param {number} at @param {number | undefined} lived @returns {StreamState} */
function countLife(state, at, lived) {
  const short = lived !== undefined && lived < SHORT_LIFE && !state.drained;
  const shortLives = short ? state.shortLives + 1 : 0;
  return shortLives < SHORT_LIVES ? { ...state, shortLives } : withoutSse(state, at);
}

/** @type {Move<"asked">} */
const asked = (state, { at, plan: { key, repeats } }) => ({
  ...state,
  askedKey: key,
  askedAt: at,
  repeats,
  resting: false,
  pending: [],
  controls: 0,
  drained: false,
});

/** @type {Move<"page">} */
function caughtUp(state, event) {
  const next = commit(state, event);
  if (isOver(next) || !event.upToDate) return next;
  return { ...next, phase: liveMode(next, event.at), failures: Math.min(next.failures, POLLING) };
}

/** @type {Move<"page">} */
function polled(state, event) {
  const next = commit(state, event);
  return isOver(next) ? next : { ...next, phase: liveMode(next, event.at), failures: 0 };
}

/** @type {Move<"data">} */
const received = (state, { items }) => ({ ...state, pending: state.pending.concat(items) });

/** @type {Move<"control">} */
const controlled = (state, event) => ({
  ...commit(state, { ...event, items: state.pending }),
  controls: state.controls + 1,
  drained: state.controls > 0 && state.pending.length === 0,
});

/** @type {Move<"silent">} */
const silent = (state, { at }) => withoutSse(state, at);

/** @type {Move<"ended">} */
function ended(state, { at, lived }) {
  if (state.controls === 0 && lived >= SHORT_LIFE) return withoutSse(state, at);
  const failures = lived < SHORT_LIFE ? state.failures : 0;
  return countLife({ ...state, pending: [], failures }, at, lived);
}

/** @type {Move<"failed">} */
function failed(state, { at, lived, floor = 0 }) {
  const wentWell = isLive(state) && lived !== undefined && lived >= SHORT_LIFE;
  return {
    ...(state.phase === "sse" ? countLife(state, at, lived) : state),
    phase: "catch-up",
    upToDate: false,
    pending: [],
    failures: wentWell ? 0 : state.failures + 1, // with none, it is back before anybody is told
    resting: true,
    notBefore: at + floor,
  };
}

/** @type {Move<"absent">} */
const absent = (state, { at }) => ({ ...failed(state, { type: "failed", at }), failures: Math.min(state.failures + 1, POLLING) });

/** @type {Move<"dropped">} */
const dropped = (state) => ({
  ...state,
  phase: "catch-up",
  pending: [],
  failures: 0,
  resting: false,
  askedKey: "",
});

/** Another request, for more or less than this one. @type {Move<"changed">} */
const changed = (state) => ({ ...state, pending: [], askedKey: "" });

/** @type {Move<"refused">} */
const refused = (state, { status, code, error }) => ({
  ...state,
  phase: "gone",
  pending: [],
  refusal: { status, code, error },
});

/** @type {Record<Phase, {[T in StreamEvent["type"]]?: Move<T>}>} */
export const TRANSITIONS = {
  "catch-up": { asked, page: caughtUp, failed, absent, dropped, changed, refused },
  sse: { asked, data: received, control: controlled, silent, ended, failed, dropped, changed, refused },
  "long-poll": { asked, page: polled, failed, dropped, changed, refused },
  closed: {},
  gone: {},
};

/**
 * The state after `event`; an event the phase does not know changes nothing.
 *
 * @param {StreamState} state @param {StreamEvent} event @returns {StreamState}
 */
export function advance(state, event) {
  const move = /** @type {Move<any> | undefined} */ (TRANSITIONS[state.phase][event.type]);
  const before = { ...state, batch: undefined };
  return move ? move(before, event) : before;
}
