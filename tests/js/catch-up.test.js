/** Joining anywhere in a recorded session ends with the same messages as having been there from the start. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { StreamProcessor } from "@tanstack/ai";

import { catchUp } from "../../static/js/catch-up.js";
import { createReducer, materialize } from "../../static/js/chat-reducer.js";
import { own, recorded } from "./support/recorded.js";

const sessions = [...recorded, ...own["parts.jsonl"], ...own["runs.jsonl"]];

/** @param {any} value */
const copy = (value) => JSON.parse(JSON.stringify(value));

/** @param {any[]} events */
function snapshotOf(events) {
  const reducer = createReducer();
  for (const event of events) reducer.apply(event);
  return copy(reducer.snapshot());
}

/** Its one tool result has an id and an error that only a MESSAGES_SNAPSHOT can say. */
const UNSAYABLE = ["a history in one event keeps names and metadata"];

describe("our reducer, from every place", () => {
  for (const { name, events, finalize } of sessions.filter(({ name }) => !UNSAYABLE.includes(name))) {
    test(name, () => {
      const whole = copy(materialize(events, { final: finalize }).messages);
      for (let place = 0; place <= events.length; place++) {
        const snapshot = snapshotOf(events.slice(0, place));
        const reducer = createReducer();
        for (const chunk of catchUp(snapshot)) reducer.apply(copy(chunk));
        assert.deepEqual(copy(reducer.snapshot().messages), snapshot.messages, `at ${place}`);
        assert.deepEqual(reducer.activeRuns, snapshot.activeRuns, `at ${place}`);
        for (const event of events.slice(place)) reducer.apply(event);
        if (finalize) reducer.finalize();
        assert.deepEqual(copy(reducer.snapshot().messages), whole, `from ${place}`);
      }
    });
  }
});

/**
 * Where the published processor itself is at fault when it is there from the start, so that joining later is better:
 * it gives a run's parts to another run's message, merges two thoughts, or knows nothing of a signal of ours.
 */
const ITS_OWN = [
  ...UNSAYABLE,
  "a fork that begins in the middle of an answer",
  "a killed server's run is claimed and ended by the next",
  "a result before the end of the arguments",
  "a run that waits for an approval",
  "a terminal event that comes twice",
  "an answer with the id of an earlier one goes on with it",
  "one of two runs fails and leaves the other alone",
  "pictures and files of a person",
  "structured output that is never completed",
  "the end of a run nobody knows, while another is under way",
  "two agents answer at once, their events interleaved",
  "two runs still under way",
  "two thoughts in one message",
];

/** Without what only we keep, and with one name for ids that are made up. @param {StreamProcessor} processor */
const messagesOf = (processor) =>
  copy(processor.getMessages()).map((/** @type {any} */ { id, role, parts }) => ({
    id: /^(msg-\d{6}|auto~)/.test(id) ? "*" : id,
    role,
    parts,
  }));

describe("the published processor, from every place", () => {
  for (const { name, events } of sessions.filter(({ name }) => !ITS_OWN.includes(name))) {
    test(name, (context) => {
      for (const quiet of /** @type {const} */ (["warn", "error"])) context.mock.method(console, quiet, () => {});
      const live = new StreamProcessor({});
      for (const event of copy(events)) live.processChunk(event);
      for (let place = 0; place <= events.length; place++) {
        const joined = new StreamProcessor({});
        for (const chunk of catchUp(snapshotOf(events.slice(0, place)))) joined.processChunk(copy(chunk));
        for (const event of copy(events.slice(place))) joined.processChunk(event);
        assert.deepEqual(messagesOf(joined), messagesOf(live), `from ${place}`);
      }
    });
  }
});

test("a run that waits for an approval asks a newcomer too, one that went on does not", () => {
  const interrupts = [{ id: "i", reason: "approval_required", toolCallId: "t" }];
  const waiting = { runId: "r", status: "awaiting-approval", messageIds: [], interrupts };
  const chunksOf = (/** @type {any} */ info) => [...catchUp({ messages: [], runs: { r: info } })].slice(1);
  assert.deepEqual(chunksOf(waiting), [
    { type: "RUN_FINISHED", runId: "r", outcome: { type: "interrupt", interrupts } },
  ]);
  assert.deepEqual(chunksOf({ ...waiting, supersededBy: "r2" }), []);
});

test("a snapshot of which only the messages are known is enough", () => {
  const messages = [{ id: "m", role: "user", parts: [{ type: "text", content: "Hi" }] }];
  assert.deepEqual([...catchUp({ messages })], [{ type: "MESSAGES_SNAPSHOT", messages }]);
});
