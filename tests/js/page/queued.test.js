/** Which messages wait. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { queued } from "../../../static/js/page/queued.js";

const user = (/** @type {string} */ id, metadata = {}) => ({ id, role: "user", parts: [], metadata });
const answer = (/** @type {string} */ id, /** @type {string} */ parentId) => ({ id, role: "assistant", parts: [], metadata: { parentId } });
const run = (/** @type {string} */ runId, /** @type {string} */ triggerId, status = "running") => ({ [runId]: { runId, triggerId, status, messageIds: [] } });

/** @param {any[]} messages @param {any} runs @param {string[]} activeRuns */
const ids = (messages, runs, activeRuns) => queued({ messages, runs, activeRuns }).map(({ id }) => id);

test("whoever asks while an answer is being written waits", () => {
  const messages = [user("u1"), answer("a1", "u1"), user("u2"), answer("a2", "u2"), user("u3"), user("u4")];
  assert.deepEqual(ids(messages, run("r2", "u2"), ["r2"]), ["u3", "u4"]);
});

test("nobody waits when nothing runs, nor for what has a run or an answer", () => {
  const messages = [user("u1"), user("u2"), user("u3"), user("u4"), answer("a4", "u4"), user("u5")];
  assert.deepEqual(ids(messages, {}, []), []);
  const runs = { ...run("r1", "u1"), ...run("r2", "u2", "stopped"), ...run("r3", "u3") };
  assert.deepEqual(ids(messages, runs, ["r1", "r3"]), ["u5"]);
});

test("it counts from the question that was asked first, and not before it", () => {
  const messages = [user("u1"), user("u2"), user("u3"), user("u4")];
  assert.deepEqual(ids(messages, { ...run("r3", "u3"), ...run("r2", "u2") }, ["r3", "r2"]), ["u4"]);
  assert.deepEqual(ids(messages, run("r0", "too far back to be here"), ["r0"]), ["u1", "u2", "u3", "u4"]);
});

test("what is on its way waits for the network, not for an agent", () => {
  assert.deepEqual(ids([user("u1"), user("u2", { delivery: "sending" })], run("r1", "u1"), ["r1"]), []);
});
