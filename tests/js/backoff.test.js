import assert from "node:assert/strict";
import { test } from "node:test";

import { backoff, retryAfter } from "../../static/js/backoff.js";

const NOW = Date.parse("2026-01-01T00:00:00Z");

test("the ceiling doubles from 1 s to 32 s and the whole range is used", () => {
  const ceilings = [0, 1, 2, 3, 4, 5, 6, 50].map((attempt) => backoff(attempt, () => 1));
  assert.deepEqual(ceilings, [1000, 2000, 4000, 8000, 16_000, 32_000, 32_000, 32_000]);
  assert.equal(backoff(5, () => 0), 0);
});

test("the server's wish is a floor, with the jitter on top", () => {
  assert.equal(backoff(0, () => 0, 5000), 5000);
  assert.equal(backoff(0, () => 0.5, 5000), 5500);
});

test("Retry-After in seconds, as a date, or not at all", () => {
  assert.equal(retryAfter("7", NOW), 7000);
  assert.equal(retryAfter("Thu, 01 Jan 2026 00:00:30 GMT", NOW), 30_000);
  for (const value of [null, undefined, "", "soon", "-5", "Thu, 01 Jan 2020 00:00:00 GMT"]) {
    assert.equal(retryAfter(value, NOW), 0, String(value));
  }
  assert.equal(retryAfter("99999999999", NOW), 3_600_000);
});
