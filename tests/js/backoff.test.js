import assert from "node:assert/strict";
import { test } from "node:test";

import { backoff } from "../../static/js/http.js";

test("the ceiling doubles from 1 s to 32 s and the whole range is used", () => {
  const ceilings = [0, 1, 2, 3, 4, 5, 6, 50].map((attempt) => backoff(attempt, () => 1));
  assert.deepEqual(ceilings, [1000, 2000, 4000, 8000, 16_000, 32_000, 32_000, 32_000]);
  assert.equal(backoff(5, () => 0), 0);
});

test("the server's wish is a floor, with the jitter on top", () => {
  assert.equal(backoff(0, () => 0, 5000), 5000);
  assert.equal(backoff(0, () => 0.5, 5000), 5500);
});
