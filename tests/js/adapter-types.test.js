/** Our adapters fit where the published ones do, by type: `tsc` is what tests this file. */

import assert from "node:assert/strict";
import { test } from "node:test";

import * as published from "@tanstack/ai-client";

import * as ours from "../../static/js/connection-adapters.js";

/** @type {Pick<typeof published, "fetchHttpStream" | "fetchServerSentEvents" | "rpcStream" | "stream" | "webSocket">} */
const SAME = ours;

/** @type {import("@tanstack/ai-client").ConnectionAdapter[]} */
const CONNECTIONS = [
  ours.fetchServerSentEvents("/a", { headers: new Headers(), reconnect: { maxAttempts: 1, delayMs: 1 } }),
  ours.fetchHttpStream(
    () => "/a",
    async () => ({ body: {} }),
  ),
  ours.stream(async function* () {}),
  ours.rpcStream(async function* () {}),
  ours.webSocket("/a", { protocols: ["p"] }),
  ours.durableStreamConnection({ sendUrl: "/a" }),
  ours.sharedConnection(
    ours.stream(async function* () {}),
    { name: "n" },
  ),
  ours.normalizeConnectionAdapter(ours.stream(async function* () {})),
];

/** And the published ones in ours. */
const NORMALIZED = [published.fetchServerSentEvents("/a"), published.stream(async function* () {})].map(
  ours.normalizeConnectionAdapter,
);

test("everything has the published name", () => {
  for (const name of Object.keys(SAME).filter((name) => name in published)) {
    assert.equal(typeof SAME[/** @type {keyof typeof SAME} */ (name)], "function");
  }
  for (const name of ["StreamTruncatedError", "StreamReconnectLimitError", "DurableStreamIncompleteError"])
    assert.ok(name in ours);
  assert.equal(CONNECTIONS.length, 8);
  assert.equal(NORMALIZED.length, 2);
});
