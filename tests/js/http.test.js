import assert from "node:assert/strict";
import { test } from "node:test";

import { HttpError, persist, retryAfter } from "../../static/js/http.js";
import { createWorld } from "./support/world.js";

const NOW = Date.parse("2026-01-01T00:00:00Z");

/**
 * Persists a request that fails with these errors before it succeeds.
 *
 * @param {Error[]} errors @param {Partial<Parameters<typeof persist>[1]>} [options]
 */
function begin(errors, options) {
  const world = createWorld();
  const controller = new AbortController();
  const nudges = new EventTarget();
  /** @type {number[]} */
  const attempts = [];
  const request = async () => {
    attempts.push(world.now);
    const error = errors.shift();
    if (error) throw error;
    return "answer";
  };
  const result = { world, controller, nudges, attempts, outcome: /** @type {any} */ (undefined) };
  persist(request, { env: world.env, signal: controller.signal, nudges, connected: () => true, ...options }).then(
    (value) => (result.outcome = { value }),
    (error) => (result.outcome = { error }),
  );
  return result;
}

const cut = () => new TypeError("network error");
/** @param {number} status @param {number} [retryAfter] */
const says = (status, retryAfter) => new HttpError("No.", { status, retryAfter });

test("repeats with growing pauses until it is answered", async () => {
  const run = begin([cut(), says(503), cut()]);
  await run.world.until(() => run.outcome);
  assert.deepEqual(run.outcome, { value: "answer" });
  const pauses = run.attempts.slice(1).map((at, n) => at - run.attempts[n]);
  assert.deepEqual(pauses, [500, 1000, 2000]);
});

test("a refusal is final, a server in trouble is not", async () => {
  for (const status of [400, 401, 403, 404, 409, 413, 422]) {
    const run = begin([says(status)]);
    await run.world.settle();
    assert.equal(run.outcome.error.status, status);
  }
  for (const status of [408, 425, 429, 500, 502, 503]) {
    const run = begin([says(status)]);
    await run.world.until(() => run.outcome);
    assert.deepEqual(run.outcome, { value: "answer" });
  }
});

test("gives up after five failures of its own, never for want of a connection", async () => {
  const own = begin(Array.from({ length: 9 }, cut));
  await own.world.until(() => own.outcome);
  assert.equal(own.attempts.length, 5);
  assert.ok(own.outcome.error instanceof TypeError);
  const cutOff = begin(Array.from({ length: 50 }, cut), { connected: () => false });
  await cutOff.world.until(() => cutOff.outcome);
  assert.deepEqual([cutOff.attempts.length, cutOff.outcome], [51, { value: "answer" }]);
});

test("a nudge ends a pause, but not one the server asked for", async () => {
  const hasty = begin([cut()]);
  await hasty.world.settle();
  hasty.nudges.dispatchEvent(new Event("nudge"));
  await hasty.world.settle();
  assert.deepEqual(hasty.outcome, { value: "answer" });
  const patient = begin([says(429, 9000)]);
  await patient.world.settle();
  patient.nudges.dispatchEvent(new Event("nudge"));
  await patient.world.until(() => patient.outcome);
  assert.ok(patient.attempts[1] - patient.attempts[0] >= 9000);
});

test("what is settled another way, or aborted, ends at once and leaves no timer", async () => {
  let settled = false;
  const first = begin([cut()], { settled: () => settled });
  await first.world.settle();
  settled = true;
  first.nudges.dispatchEvent(new Event("nudge"));
  await first.world.settle();
  assert.deepEqual([first.outcome, first.attempts.length], [{ value: undefined }, 1]);
  const second = begin([cut(), cut()]);
  await second.world.settle();
  second.controller.abort();
  await second.world.settle();
  assert.ok(second.outcome.error);
  assert.deepEqual([first.world.timers, second.world.timers], [0, 0]);
});

test("Retry-After in seconds, as a date, or not at all", () => {
  assert.equal(retryAfter("7", NOW), 7000);
  assert.equal(retryAfter("Thu, 01 Jan 2026 00:00:30 GMT", NOW), 30_000);
  for (const value of [null, undefined, "", "soon", "-5", "Thu, 01 Jan 2020 00:00:00 GMT"]) {
    assert.equal(retryAfter(value, NOW), 0, String(value));
  }
  assert.equal(retryAfter("99999999999", NOW), 3_600_000);
});
