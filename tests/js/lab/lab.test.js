import assert from "node:assert/strict";
import { test } from "node:test";

import { compare, compareTexts, createAnswer } from "../../../static/js/lab/lab-count.js";
import { judge } from "../../../static/js/lab/lab-verdict.js";

test("what is lost or twice is counted to the character", () => {
  const log = "one two three four ";
  /** @type {[string, number, number][]} received, lost, twice */
  const cases = [
    [log, 0, 0],
    ["", log.length, 0],
    ["one two ", 11, 0],
    ["one four ", 10, 0],
    ["two three four ", 4, 0],
    ["one two two three four ", 0, 4],
    ["one two three four four ", 0, 5],
    [log + log, 0, log.length],
    ["one two two four ", 4, 2], // as a diff: the second "two" has two letters of "three"
    ["one  two three four ", 0, 1],
    ["three four one two ", 8, 8],
    ["nothing", 15, 3],
  ];
  for (const [received, lost, twice] of cases) {
    assert.deepEqual(compareTexts(received, log), { lost, twice }, received);
    const counted = compare(new Map([["a", received], ["b", "same"]]), new Map([["b", "same"], ["a", log], ["c", "!"]]));
    assert.deepEqual(counted, { lost: lost + 1, twice }, received);
  }
  assert.deepEqual(compareTexts("", ""), { lost: 0, twice: 0 });
  assert.deepEqual(compare(new Map([["d", "never said"]]), new Map()), { lost: 0, twice: 10 });
});

test("an answer is what agents say", () => {
  const answer = createAnswer();
  /** @param {any[]} chunks */
  const add = (...chunks) => chunks.forEach((chunk) => answer.add(chunk));
  add(
    { type: "TEXT_MESSAGE_START", messageId: "q", role: "user" },
    { type: "TEXT_MESSAGE_CONTENT", messageId: "q", delta: "Why?" },
    { type: "RUN_STARTED", runId: "r" },
    { type: "TEXT_MESSAGE_START", messageId: "a", role: "assistant" },
    { type: "TEXT_MESSAGE_CONTENT", messageId: "a", delta: "Be" },
  );
  assert.deepEqual([answer.text, answer.running, answer.ended], ["Be", true, 0]);
  add({ type: "TEXT_MESSAGE_CONTENT", messageId: "a", delta: "cause." }, { type: "RUN_FINISHED", runId: "r" });
  assert.deepEqual([answer.text, answer.running, answer.ended], ["Because.", false, 1]);
});

test("a lane that may still get everything has lost nothing", () => {
  const traffic = { connections: 1, bytes: 1, open: 1 };
  const counted = { lost: 3, twice: 0, said: 9, busy: true, asked: true };
  /** @param {any} lane @param {Partial<typeof counted>} [counts] */
  const told = (lane, counts) => {
    const { state, lost } = judge({ traffic, ...lane }, { ...counted, ...counts });
    return `${state} ${lost}`;
  };
  assert.equal(told({ state: "expecting" }), "arriving 0");
  assert.equal(told({ state: "expecting" }, { lost: 0 }), "arriving 0");
  assert.equal(told({ state: "expecting" }, { busy: false }), "arriving 0");
  assert.equal(told({ state: "expecting", traffic: { ...traffic, open: 0 } }), "reconnecting 0");
  assert.equal(told({ state: "expecting" }, { busy: false, lost: 0 }), "complete 0");
  assert.equal(told({ state: "ended" }, { busy: false, lost: 0 }), "complete 0");
  assert.equal(told({ state: "ended" }), "lost 3");
  assert.equal(told({ state: "broken" }), "lost 3");
  assert.equal(told({ state: "idle" }), "lost 3");
  assert.equal(told({ state: "idle" }, { asked: false }), "lost 3");
  assert.equal(told({ state: "idle" }, { said: 0, lost: 0, busy: false }), "ready 0");
  assert.equal(told({ state: "ended" }, { lost: 0, twice: 2 }), "twice 0");
});
