import assert from "node:assert/strict";
import { test } from "node:test";

import { advance, initialState, isLive, patience, plan, SSE_BLOCKED_FOR, TRANSITIONS } from "../../static/js/stream-state.js";

/** @import {StreamEvent, StreamState} from "../../static/js/types.js" */

const AT = 1_000_000;
const page = { items: ["x"], offset: "5", cursor: "c1", upToDate: true, closed: false };
const control = { offset: "5", cursor: "c1", upToDate: true, closed: false };

/** @param {Partial<StreamState>} given @returns {StreamState} */
const state = (given = {}) => ({ ...initialState("3"), ...given });

/** @param {StreamState} from @param {...StreamEvent} events */
const after = (from, ...events) => events.reduce(advance, from);

/** @type {StreamEvent} */
const asked = { type: "asked", at: AT, plan: { key: "k", at: AT, repeats: 0, query: {} } };
/** @param {Partial<StreamState>} [given] */
const sse = (given) => advance(state({ phase: "sse", upToDate: true, ...given }), asked);

/** Every phase with every event. @type {Record<string, [StreamEvent, Record<string, string>]>} */
const TABLE = {
  asked: [asked, { "catch-up": "catch-up", sse: "sse", "long-poll": "long-poll" }],
  "page, more to come": [{ type: "page", at: AT, ...page, upToDate: false }, { "catch-up": "catch-up", sse: "sse", "long-poll": "sse" }],
  "page, up to date": [{ type: "page", at: AT, ...page }, { "catch-up": "sse", sse: "sse", "long-poll": "sse" }],
  "page, closed": [{ type: "page", at: AT, ...page, closed: true }, { "catch-up": "closed", sse: "sse", "long-poll": "closed" }],
  data: [{ type: "data", items: [1] }, { "catch-up": "catch-up", sse: "sse", "long-poll": "long-poll" }],
  control: [{ type: "control", at: AT, ...control }, { "catch-up": "catch-up", sse: "sse", "long-poll": "long-poll" }],
  "control, closed": [{ type: "control", at: AT, ...control, closed: true }, { "catch-up": "catch-up", sse: "closed", "long-poll": "long-poll" }],
  silent: [{ type: "silent", at: AT }, { "catch-up": "catch-up", sse: "long-poll", "long-poll": "long-poll" }],
  "ended, never spoke": [{ type: "ended", at: AT, lived: 60_000 }, { "catch-up": "catch-up", sse: "long-poll", "long-poll": "long-poll" }],
  failed: [{ type: "failed", at: AT }, { "catch-up": "catch-up", sse: "catch-up", "long-poll": "catch-up" }],
  absent: [{ type: "absent", at: AT }, { "catch-up": "catch-up", sse: "sse", "long-poll": "long-poll" }],
  dropped: [{ type: "dropped", at: AT }, { "catch-up": "catch-up", sse: "catch-up", "long-poll": "catch-up" }],
  changed: [{ type: "changed", at: AT }, { "catch-up": "catch-up", sse: "sse", "long-poll": "long-poll" }],
  refused: [{ type: "refused", status: 404 }, { "catch-up": "gone", sse: "gone", "long-poll": "gone" }],
};

test("the truth table", () => {
  for (const [name, [event, expected]] of Object.entries(TABLE)) {
    for (const phase of /** @type {StreamState["phase"][]} */ (Object.keys(TRANSITIONS))) {
      assert.equal(advance(state({ phase }), event).phase, expected[phase] ?? phase, `${phase}: ${name}`);
    }
  }
});

test("an event that a phase does not know changes nothing", () => {
  for (const phase of /** @type {StreamState["phase"][]} */ (Object.keys(TRANSITIONS))) {
    for (const [event] of Object.values(TABLE)) {
      const before = state({ phase });
      if (!(event.type in TRANSITIONS[phase])) assert.deepEqual(advance(before, event), { ...before, batch: undefined });
    }
  }
});

test("data counts only with its control event, and several data events may share one", () => {
  const waiting = after(sse(), { type: "data", items: [1, 2] }, { type: "data", items: [3] });
  assert.equal(waiting.batch, undefined);
  assert.equal(waiting.offset, "3");
  const done = advance(waiting, { type: "control", at: AT, ...control });
  assert.deepEqual(done.batch, { items: [1, 2, 3], offset: "5", upToDate: true });
  assert.equal(done.offset, "5");
  assert.equal(advance(done, { type: "control", at: AT, ...control }).batch, undefined);
});

test("data without its control event is forgotten when the reply is over", () => {
  for (const event of /** @type {StreamEvent[]} */ ([
    { type: "ended", at: AT, lived: 9000 },
    { type: "failed", at: AT, lived: 9000 },
    { type: "dropped", at: AT },
    { type: "changed", at: AT },
    { type: "silent", at: AT },
  ])) {
    const over = after(sse({ controls: 1 }), { type: "data", items: [1] }, event);
    assert.deepEqual([over.pending, over.offset], [[], "3"], event.type);
  }
});

test("a batch that comes twice counts once, and the offset never goes back", () => {
  const once = after(sse(), { type: "data", items: [1] }, { type: "control", at: AT, ...control });
  for (const offset of ["5", "4"]) {
    const twice = after(once, { type: "data", items: [1] }, { type: "control", at: AT, ...control, offset });
    assert.deepEqual([twice.offset, twice.batch, twice.pending], ["5", undefined, []]);
  }
  const polled = advance(state({ phase: "long-poll", offset: "7", upToDate: true }), { type: "page", at: AT, ...page });
  assert.deepEqual([polled.offset, polled.batch], ["7", undefined]);
});

test("the first offset may be anything", () => {
  for (const offset of ["-1", "now"]) {
    assert.equal(advance(state({ offset }), { type: "page", at: AT, ...page }).offset, "5");
  }
});

test("no reply without news is a batch, except the one that says: up to date", () => {
  const empty = { type: /** @type {const} */ ("page"), at: AT, items: [], offset: "3", upToDate: true, closed: false };
  const first = advance(state(), empty);
  assert.deepEqual(first.batch, { items: [], offset: "3", upToDate: true });
  assert.equal(advance({ ...first, phase: "long-poll" }, empty).batch, undefined);
});

test("a 204 without an offset leaves the offset alone; a closed one ends it all", () => {
  const nothing = { type: /** @type {const} */ ("page"), at: AT, items: [], upToDate: true, closed: false };
  const polled = advance(state({ phase: "long-poll", sseAfter: AT + 1 }), nothing);
  assert.deepEqual([polled.phase, polled.offset], ["long-poll", "3"]);
  assert.equal(advance(polled, { ...nothing, closed: true }).phase, "closed");
});

test("silent SSE: long-poll for five minutes, then SSE again", () => {
  const polling = advance(sse(), { type: "silent", at: AT });
  assert.ok(isLive(polling));
  const early = advance(polling, { type: "page", at: AT + SSE_BLOCKED_FOR - 1, ...page });
  assert.equal(early.phase, "long-poll");
  assert.equal(advance(early, { type: "page", at: AT + SSE_BLOCKED_FOR, ...page }).phase, "sse");
  const afterCut = after(polling, { type: "failed", at: AT }, { type: "page", at: AT, ...page });
  assert.equal(afterCut.phase, "long-poll", "a cut meanwhile does not bring SSE back early");
});

test("three SSE replies in a row that ended under a second: long-poll", () => {
  const spoken = /** @type {StreamEvent} */ ({ type: "control", at: AT, ...control });
  /** @param {number} lived @returns {StreamEvent[]} */
  const life = (lived) => [asked, spoken, { type: "ended", at: AT, lived }];
  assert.equal(after(sse(), ...life(999), ...life(999)).phase, "sse");
  assert.equal(after(sse(), ...life(999), ...life(999), ...life(999)).phase, "long-poll");
  assert.equal(after(sse(), ...life(999), ...life(999), ...life(1000), ...life(999)).phase, "sse");
});

test("an SSE reply that ends before it said anything is no reason to give SSE up, unless it took its time", () => {
  const nothing = /** @type {StreamEvent} */ ({ type: "ended", at: AT, lived: 0 });
  assert.equal(after(sse(), asked, nothing, asked, nothing).phase, "sse");
  assert.equal(after(sse(), asked, nothing, asked, nothing, asked, nothing).phase, "long-poll");
  assert.equal(after(sse(), asked, { type: "ended", at: AT, lived: 1000 }).phase, "long-poll");
});

test("cut replies count as short ones, refused connections do not, drained ones do not", () => {
  const spoken = /** @type {StreamEvent} */ ({ type: "control", at: AT, ...control });
  const caughtUp = /** @type {StreamEvent} */ ({ type: "page", at: AT, ...page });
  /** @type {StreamEvent[]} */
  const cut = [asked, spoken, { type: "failed", at: AT, lived: 10 }, caughtUp];
  assert.equal(after(sse(), ...cut, ...cut, ...cut).phase, "long-poll");
  assert.equal(after(sse(), ...cut, ...cut, { type: "failed", at: AT }, caughtUp, ...cut).phase, "sse");
  /** A server that shuts down says a last control event. @type {StreamEvent[]} */
  const drained = [asked, spoken, spoken, { type: "ended", at: AT, lived: 10 }];
  assert.equal(after(sse(), ...drained, ...drained, ...drained, ...drained).phase, "sse");
});

test("what the next request asks", () => {
  const still = () => 0;
  assert.deepEqual(plan(initialState(), AT, still).query, { offset: "-1" });
  assert.deepEqual(plan(state({ cursor: "c" }), AT, still).query, { offset: "3" });
  assert.deepEqual(plan(sse({ cursor: "c" }), AT, still).query, { offset: "3", live: "sse", cursor: "c" });
  assert.deepEqual(plan(state({ phase: "long-poll" }), AT, still).query, { offset: "3", live: "long-poll" });
});

test("failures back off, progress forgives them", () => {
  const full = () => 1;
  let failing = state();
  const waits = [];
  for (let n = 0; n < 7; n++) {
    failing = advance(failing, { type: "failed", at: AT });
    waits.push(plan(failing, AT, full).at - AT);
  }
  assert.deepEqual(waits, [1000, 2000, 4000, 8000, 16_000, 32_000, 32_000]);
  assert.equal(advance(failing, { type: "page", at: AT, ...page, upToDate: false }).failures, 0);
  const idle = advance(failing, { type: "page", at: AT, ...page, offset: "3" });
  assert.equal(plan(advance(idle, asked), AT, full).at, AT, "a plain read that works is followed by a live one at once");
  assert.equal(plan(after(idle, asked, { type: "failed", at: AT }), AT, full).at - AT, 4000, "and tried again soon");
  assert.equal(plan(advance(failing, { type: "dropped", at: AT }), AT, full).at, AT);
  const cut = /** @type {StreamEvent} */ ({ type: "failed", at: AT, lived: 5000 });
  const live = { ...failing, phase: /** @type {const} */ ("sse"), upToDate: true, controls: 1 };
  assert.equal(plan(advance(live, cut), AT, full).at - AT, 500, "a connection that was live is back before it is missed");
  for (const given of /** @type {const} */ ([{ phase: "catch-up" }, { phase: "sse", controls: 0 }, { phase: "long-poll", upToDate: false }])) {
    const again = advance({ ...live, ...given }, cut);
    assert.equal(plan(again, AT, full).at - AT, 32_000, `however long it took, ${given.phase} told nothing new`);
  }
});

test("Retry-After is a floor, also for a wake-up", () => {
  const told = advance(state(), { type: "failed", at: AT, floor: 7000 });
  assert.equal(plan(told, AT, () => 0).at, AT + 7000);
  assert.equal(plan(advance(told, { type: "dropped", at: AT }), AT + 10, () => 1).at, AT + 7000);
});

test("the same request is not made twice at once, whatever the phase", () => {
  const full = () => 1;
  for (const phase of /** @type {const} */ (["catch-up", "sse", "long-poll"])) {
    let current = state({ phase, upToDate: true });
    const waits = [];
    for (let n = 0; n < 4; n++) {
      const next = plan(current, AT, full);
      waits.push(next.at - AT);
      current = { ...advance(current, { type: "asked", at: AT, plan: next }), cursor: `c${n}` };
    }
    assert.deepEqual(waits, [0, 1000, 2000, 4000], phase);
    assert.equal(plan(current, AT + 30_000, full).at, AT + 30_000, "a reply that took its time needs no pause");
  }
});

test("patience", () => {
  assert.equal(patience(sse(), 15_000), 37_500);
  assert.ok(patience(state({ phase: "long-poll" }), 1) > 30_000);
  assert.ok(patience(state(), 1) >= 20_000);
});

test("refusals carry what the server said", () => {
  const gone = advance(sse(), { type: "refused", status: 410, code: "gone", error: "It is gone." });
  assert.deepEqual(gone.refusal, { status: 410, code: "gone", error: "It is gone." });
});

test("a stream that nobody has written to is asked for at least every two seconds", () => {
  let waiting = state();
  for (let n = 0; n < 20; n++) waiting = after(waiting, asked, { type: "absent", at: AT });
  const { at } = plan(waiting, AT, () => 0.999);
  assert.ok(at > AT && at - AT <= 2000, String(at - AT));
});
