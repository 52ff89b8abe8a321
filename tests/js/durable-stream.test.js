import assert from "node:assert/strict";
import { test } from "node:test";

import { followStream } from "../../static/js/durable-stream.js";
import { answer, start, URL_ } from "./support/reader.js";
import { createStreamServer, offsetOf, openBody } from "./support/stream-server.js";
import { createWorld, seeded } from "./support/world.js";

test("catches up page by page, then follows over SSE from that offset, echoing the cursor", async () => {
  const server = createStreamServer({ pageSize: 2 });
  server.append("a");
  server.append("b", "c");
  server.append("d");
  const reader = start(server);
  await reader.live();
  assert.deepEqual(reader.asked, ["read -1", "read 2", "sse 3"]);
  assert.equal(server.requests[0].url.searchParams.get("id"), "c 1");
  assert.equal(server.requests[2].cursor, "101");
  server.append("e");
  await reader.world.until(() => reader.items.length === 5);
  assert.deepEqual(reader.batches.map(({ items, offset, upToDate }) => [items.join(""), Number(offset), upToDate]), [
    ["abc", 2, false],
    ["d", 3, true],
    ["e", 4, true],
  ]);
  assert.deepEqual(reader.states, ["connecting", "live"]);
  reader.stop();
  await reader.done;
});

test("starts at the offset it is given and reports an empty stream as up to date", async () => {
  const server = createStreamServer();
  server.append("old");
  const reader = start(server, { offset: offsetOf(1) });
  await reader.live();
  assert.deepEqual(reader.batches, [{ items: [], offset: offsetOf(1), upToDate: true }]);
  reader.stop();
});

test("headers may be static, a function or an async function, and are asked for at every request", async () => {
  let asked = 0;
  for (const headers of [{ "X-A": "1" }, () => ({ "X-A": "1" }), async () => ((asked += 1), { "X-A": "1" })]) {
    const reader = start(createStreamServer(), { headers });
    await reader.live();
    for (const request of reader.server.requests) assert.equal(request.headers.get("x-a"), "1");
    reader.stop();
  }
  assert.equal(asked, 2);
});

test("a reply that ends after a minute is followed by the next without a word or a pause", async () => {
  const reader = start();
  await reader.live();
  await reader.world.advance(20_000);
  reader.server.bodies[0].write(": ping\n\n");
  await reader.world.advance(30_000);
  const before = reader.world.now;
  reader.server.bodies[0].end();
  await reader.world.settle();
  assert.deepEqual(reader.asked, ["read -1", "sse 0", "sse 0"]);
  assert.equal(reader.world.now, before);
  assert.deepEqual(reader.states, ["connecting", "live"]);
  reader.stop();
});

test("a cut: reconnecting with the time of the next attempt, then live, caught up on what was missed", async () => {
  const reader = start();
  const { server, world } = reader;
  await reader.live();
  await world.advance(5_000);
  const cutAt = world.now;
  server.bodies[0].cut();
  server.append("x", "y");
  await reader.world.until(() => reader.items.length === 2);
  await reader.live();
  assert.deepEqual(reader.states, ["connecting", "live", "reconnecting", "reconnecting", "live"]);
  assert.equal(reader.statuses[2].since, cutAt);
  assert.equal(reader.statuses[2].retryAt, cutAt + 250);
  assert.equal(reader.last.caughtUp, 2);
  reader.stop();
});

test("one trouble has one beginning, however many attempts it takes; offline is told apart", async () => {
  const world = createWorld();
  const reader = start(undefined, { world });
  await reader.live();
  reader.server.hook = () => "refuse";
  world.online = false;
  const began = world.now;
  reader.server.bodies[0].cut();
  await world.until(() => reader.server.requests.length === 6);
  const troubles = reader.statuses.slice(2);
  assert.deepEqual([...new Set(troubles.map(({ state, since }) => `${state} ${since - began}`))], ["offline 0"]);
  reader.server.hook = () => undefined;
  world.online = true;
  world.fire("online");
  await world.settle();
  assert.equal(reader.last.state, "live");
  assert.equal(reader.last.caughtUp, 0);
  reader.stop();
});

test("online, pageshow, visibilitychange and a nudge end the wait at once", async () => {
  const nudges = new EventTarget();
  for (const wake of ["online", "offline", "pageshow", "visibilitychange", "nudge"]) {
    const reader = start(undefined, { nudges });
    await reader.live();
    reader.server.hook = () => "refuse";
    reader.server.bodies[0].cut();
    await reader.world.until(() => reader.server.requests.length === 8);
    assert.ok(/** @type {number} */ (reader.last.retryAt) - reader.world.now > 5_000);
    reader.server.hook = () => undefined;
    if (wake === "nudge") nudges.dispatchEvent(new Event("retry"));
    else reader.world.fire(wake, { persisted: false });
    await reader.world.settle();
    assert.equal(reader.last.state, "live", wake);
    reader.stop();
  }
});

test("a connection is given up when the network changes or the page comes back, not on any glance", async () => {
  const reader = start();
  await reader.live();
  await reader.world.advance(10_000);
  reader.world.fire("visibilitychange");
  reader.world.fire("pageshow", { persisted: false });
  await reader.world.settle();
  assert.equal(reader.server.requests.length, 2);
  reader.world.fire("pageshow", { persisted: true });
  await reader.world.settle();
  assert.deepEqual(reader.asked, ["read -1", "sse 0", "read 0", "sse 0"]);
  await reader.world.advance(19_000);
  reader.world.fire("visibilitychange");
  await reader.world.settle();
  assert.equal(reader.server.requests.length, 6, "no ping for longer than there should be");
  assert.deepEqual(reader.states, ["connecting", "live"]);
  reader.stop();
});

test("no byte for two and a half pings: reconnect; pings keep it alive", async () => {
  const reader = start(undefined, { ping: 1_000 });
  await reader.live();
  for (let n = 0; n < 5; n++) {
    await reader.world.advance(1_000);
    reader.server.bodies[0].write(": ping\n\n");
  }
  assert.equal(reader.server.requests.length, 2);
  await reader.world.advance(4_000);
  assert.equal(reader.server.requests.length, 4);
  assert.equal(reader.server.bodies[0].over, true);
  assert.deepEqual(reader.states, ["connecting", "live", "reconnecting", "reconnecting", "live"]);
  reader.stop();
});

test("F33: after an hour of sleep a half-open connection is replaced within two seconds", async () => {
  const reader = start();
  await reader.live();
  reader.world.sleep(3_600_000);
  const woke = reader.world.now;
  reader.server.bodies[0].write = () => false;
  reader.server.append("news");
  await reader.world.until(() => reader.server.requests.length > 2);
  await reader.live();
  assert.ok(reader.world.now - woke <= 2_000);
  assert.deepEqual(reader.items, ["news"]);
  reader.stop();
});

test("a proxy that holds SSE back: long-poll within three seconds, SSE again after five minutes", async () => {
  const world = createWorld();
  const server = createStreamServer({ env: world.env });
  server.hook = ({ live, signal }) =>
    live === "sse" ? new Response(openBody(signal).stream, { headers: { "Content-Type": "text/event-stream" } }) : undefined;
  const began = world.now;
  const reader = start(server, { world });
  await reader.live();
  assert.ok(world.now - began <= 3_000);
  for (const item of ["a", "b", "c"]) server.append(item);
  await world.settle();
  assert.deepEqual(reader.items, ["a", "b", "c"]);
  assert.ok(server.requests.filter(({ live }) => live === "sse").length === 1);
  server.hook = () => undefined;
  await world.until(() => reader.asked.includes("sse 3"));
  assert.ok(world.now - began >= 300_000 && world.now - began < 330_000);
  server.append("d");
  await world.settle();
  assert.deepEqual(reader.items, ["a", "b", "c", "d"]);
  assert.ok(!reader.states.includes("reconnecting"));
  reader.stop();
});

test("SSE answered with something else than an event stream: long-poll", async () => {
  const server = createStreamServer();
  server.hook = ({ live }) => (live === "sse" ? answer("[]", 200, { "Content-Type": "application/json" }) : undefined);
  const reader = start(server);
  await reader.live();
  assert.deepEqual(reader.asked, ["read -1", "sse 0", "long-poll 0"]);
  reader.stop();
});

test("three SSE replies in a row that end at once: long-poll, and a pause before asking the same again", async () => {
  const server = createStreamServer();
  server.hook = ({ live }) => (live === "sse" ? { end: "end" } : undefined);
  const reader = start(server);
  await reader.world.until(() => reader.asked.includes("long-poll 0"));
  assert.deepEqual(reader.asked, ["read -1", "sse 0", "sse 0", "sse 0", "long-poll 0"]);
  reader.stop();
});

test("neither SSE nor long-poll: plain reads still converge within five seconds", async () => {
  const world = createWorld({ random: seeded(7) });
  const server = createStreamServer();
  server.hook = ({ live }) => (live ? answer(null, 502) : undefined);
  const reader = start(server, { world });
  await world.advance(120_000);
  for (let n = 0; n < 20; n++) {
    server.append(n);
    const sent = world.now;
    await world.until(() => reader.items.length > n);
    assert.ok(world.now - sent <= 5_000, `${world.now - sent} ms`);
    await world.advance(1_000 * (n % 5));
  }
  reader.stop();
});

test("long-poll that answers nothing at once is not asked in a circle", async () => {
  const server = createStreamServer();
  server.hook = ({ live, offset }) => {
    if (live === "sse") return answer("", 200);
    return live ? answer(null, 204, { "Stream-Next-Offset": offset, "Stream-Up-To-Date": "true" }) : undefined;
  };
  const reader = start(server);
  await reader.world.advance(60_000);
  assert.ok(server.requests.length < 15, `${server.requests.length} requests in a minute`);
  reader.stop();
});

test("429 and 503 wait as long as they say, also when woken", async () => {
  for (const status of [429, 503]) {
    const reader = start();
    await reader.live();
    reader.server.hook = ({ number }) => (number === 2 ? answer("", status, { "Retry-After": "7" }) : undefined);
    const cutAt = reader.world.now;
    reader.server.bodies[0].cut();
    await reader.world.until(() => reader.server.requests.length === 3);
    reader.world.fire("online");
    await reader.world.until(() => reader.server.requests.length > 3);
    assert.ok(reader.world.now - cutAt >= 7_000);
    await reader.live();
    reader.stop();
  }
});

test("404, 410, 401 and 403 are the end, with the server's words", async () => {
  for (const status of [400, 401, 403, 404, 410]) {
    const server = createStreamServer();
    server.hook = () => answer(JSON.stringify({ error: "No such chat.", code: "chat-not-found" }), status);
    const reader = start(server);
    await reader.done;
    const { since, ...gone } = reader.last;
    assert.equal(typeof since, "number");
    assert.deepEqual(gone, { state: "gone", status, code: "chat-not-found", error: "No such chat." });
    assert.equal(server.requests.length, 1);
    assert.deepEqual([reader.world.timers, reader.world.listening], [0, 0]);
  }
});

test("who is patient waits for a stream that nobody has written to; a word why it is not there is the end", async () => {
  const server = createStreamServer({ hook: ({ number }) => (number < 3 ? answer("", 404) : undefined) });
  server.append("a");
  const reader = start(server, { patient: true });
  await reader.live();
  assert.deepEqual(reader.items, ["a"]);
  for (const [options, reply] of /** @type {const} */ ([
    [{ patient: true }, '{"error":"No such chat.","code":"not-found"}'],
    [{ patient: true, offset: offsetOf(1) }, ""],
    [{}, ""],
  ])) {
    const refused = start(createStreamServer({ hook: () => answer(reply, 404) }), options);
    await refused.done;
    assert.equal(refused.last.state, "gone");
  }
  reader.stop();
  await reader.done;
});

test("a batch too large for one SSE event comes as a page", async () => {
  const server = createStreamServer();
  const reader = start(server);
  await reader.live();
  const large = "x".repeat(1024 * 1024);
  server.append("before");
  server.append(large);
  await reader.world.until(() => reader.items.length === 2);
  assert.deepEqual(reader.items, ["before", large]);
  server.append("after");
  await reader.world.until(() => reader.items.length === 3);
  assert.deepEqual(reader.asked, ["read -1", "sse 0", "read 1", "sse 2"]);
  reader.stop();
  await reader.done;
});

test("a closed stream ends the reader, in every mode", async () => {
  for (const mode of ["read", "sse", "long-poll"]) {
    const server = createStreamServer();
    server.append("last");
    if (mode === "read") server.close();
    if (mode === "long-poll") server.hook = ({ live }) => (live === "sse" ? answer("", 200) : undefined);
    const reader = start(server);
    if (mode !== "read") {
      await reader.live();
      server.append("word");
      server.close();
    }
    await reader.world.until(() => reader.over);
    assert.deepEqual(reader.items, server.items, mode);
    assert.equal(reader.last.state, "closed");
    assert.deepEqual([reader.world.timers, reader.world.listening], [0, 0]);
  }
});

test("what is not a stream's reply is a failure, not data", async () => {
  const server = createStreamServer();
  server.append("a");
  const replies = [
    answer("<html>Please log in</html>", 200, { "Content-Type": "text/html" }),
    answer("[1", 200, { "Stream-Next-Offset": "5" }),
    answer("[]", 200),
    new Error("offline"),
  ];
  server.hook = () => replies.shift();
  const reader = start(server);
  await reader.live();
  assert.deepEqual(reader.items, ["a"]);
  reader.stop();
});

test("abort leaves nothing behind, wherever it comes", async () => {
  /** @type {Record<string, (reader: ReturnType<typeof start>) => Promise<void>>} */
  const moments = {
    "at once": async () => {},
    "live": (reader) => reader.live(),
    "waiting for an answer": async (reader) => {
      await reader.live();
      reader.server.hook = () => "hang";
      reader.server.bodies[0].end();
      await reader.world.settle();
    },
    "waiting for the next attempt": async (reader) => {
      await reader.live();
      reader.server.hook = () => "refuse";
      reader.server.bodies[0].cut();
      await reader.world.until(() => reader.last.retryAt !== undefined);
    },
    "long-polling": async (reader) => {
      reader.server.hook = ({ live }) => (live === "sse" ? answer("", 200) : undefined);
      await reader.live();
    },
  };
  for (const [name, reach] of Object.entries(moments)) {
    const reader = start();
    await reach(reader);
    reader.stop();
    await reader.done;
    assert.deepEqual([reader.world.timers, reader.world.listening], [0, 0], name);
    for (const body of reader.server.bodies) assert.equal(body.over, true, name);
    assert.ok(reader.server.requests.every(({ signal }) => signal?.aborted), name);
  }
});

test("a consumer that breaks off, or takes no more, leaves nothing behind either", async () => {
  const world = createWorld();
  const server = createStreamServer();
  server.append("a");
  for await (const _ of followStream({ url: URL_, fetchClient: server.fetch, env: world.env })) break;
  assert.deepEqual([world.timers, world.listening], [0, 0]);
  const controller = new AbortController();
  await followStream({ url: URL_, fetchClient: server.fetch, env: world.env, signal: controller.signal }).next();
  controller.abort();
  assert.deepEqual([world.timers, world.listening], [0, 0]);
});
