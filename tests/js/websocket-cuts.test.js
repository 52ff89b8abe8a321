/** What a lost WebSocket costs: nothing, as far as the server keeps runs. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { StreamReadError, webSocket } from "../../static/js/connection-adapters.js";
import { serveAgui } from "./support/agui-server.js";
import { frame, openSession, serveSockets } from "./support/sockets.js";
import { collect, eventually, textOf, watchedController, watchTimers } from "./support/waiting.js";

const server = serveAgui();

let chats = 0;
const url = () => `${server.url}/api/chat/ws?id=chat-${++chats}`;
const FAST = { reconnect: { delayMs: 1 } };
/** @param {string} [address] @param {Parameters<typeof openSession>[1]} [options] */
const open = (address = url(), options = undefined) => openSession(address, options);

test("a cut after any chunk: nothing is missing, nothing twice, and the next run gets a new conversation", async () => {
  const whole = open();
  await whole.send("whole", "/tool please");
  await eventually(() => whole.ended("whole"));
  const types = whole.chunks.map(({ type, delta }) => [type, delta]);
  await whole.close();
  assert.ok(types.length > 15);
  server.fate = ({ runId, method }) =>
    method === "RUN" && runId.startsWith("cut-") ? { cutAfter: Number(runId.slice(4)) } : undefined;
  await Promise.all(
    types.slice(1).map(async (_, index) => {
      const runId = `cut-${index + 1}`;
      const session = open();
      await session.send(runId, "/tool please");
      await eventually(() => session.ended(runId));
      assert.deepEqual(
        session.chunks.map(({ type, delta }) => [type, delta]),
        types,
        runId,
      );
      const next = `next-${index}`;
      await session.send(next, "Go on");
      await eventually(() => session.ended(next));
      assert.equal(textOf(session.of(next)), "Echo: Go on");
      await session.close();
    }),
  );
});

test("all runs of a lost socket go on, each over its own, also with several cuts", async () => {
  const session = open();
  let cuts = 0;
  server.fate = ({ after }) => (cuts++ < 8 ? { cutAfter: after ? 3 : 5 } : undefined);
  await Promise.all(["x", "y"].map((runId) => session.send(runId, `/long 20 ${runId}`)));
  await eventually(() => session.ended("x") && session.ended("y"));
  for (const runId of ["x", "y"]) {
    assert.deepEqual(
      textOf(session.of(runId)).split(" "),
      Array.from({ length: 20 }, (_, n) => `word${n}`),
    );
  }
  const resumed = server.requests.filter(({ url }) => url.searchParams.has("offset"));
  assert.ok(resumed.length >= 2);
  assert.match(resumed[0].url.searchParams.get("offset") ?? "", /^[xy]\.\d+$/);
  await session.close();
});

test("attempts in vain are bounded: the run fails once, and the subscription with it", async () => {
  const session = open();
  server.fate = ({ method }) => ({ cutAfter: method === "RUN" ? 2 : 0 });
  await session.send("lost", "/long 50");
  await session.done;
  assert.equal(session.error?.name, "StreamReconnectLimitError");
  const ends = session.chunks.filter(({ type }) => type === "RUN_ERROR");
  assert.equal(ends.length, 1);
  assert.deepEqual([ends[0].runId, ends[0].message], ["lost", session.error.message]);
  server.fate = () => undefined;
  const again = open();
  await again.close();
});

test("a server without tags: a lost run is lost, and said to be", async () => {
  const session = open();
  server.fate = () => ({ untagged: true, cutAfter: 3 });
  await session.send("plain", "/long 50");
  await session.done;
  assert.ok(session.error instanceof StreamReadError);
  assert.deepEqual(session.chunks.at(-1).type, "RUN_ERROR");
  assert.equal(server.requests.length, 1);
});

test("after the last chunk of a run a closed socket costs nothing, and the next run opens another", async () => {
  const session = open();
  await session.send("one");
  await eventually(() => session.ended("one"));
  server.cut();
  await eventually(() => server.open.size === 0);
  await session.send("two");
  await eventually(() => session.ended("two"));
  assert.equal(session.over, false);
  await session.close();
});

test("an abort while a lost run waits for its next attempt leaves nothing behind", async () => {
  const timers = watchTimers();
  const session = open(url(), { reconnect: { delayMs: 3_600_000 } });
  server.fate = () => ({ cutAfter: 2 });
  await session.send("waiting", "/long 40");
  await eventually(() => timers.pending === 1);
  await session.close();
  assert.equal(timers.pending, 0);
  timers.restore();
});

test("without tags nobody goes on with a run that was left", async () => {
  server.fate = () => ({ untagged: true });
  const session = open();
  await session.send("left", "/long 60");
  await eventually(() => session.chunks.length > 5);
  await session.close();
  const again = collect(session.connection.subscribe(AbortSignal.timeout(20)));
  assert.deepEqual(await again, { chunks: [], error: undefined });
  assert.equal(server.requests.length, 1);
});

test("who subscribes again goes on with the runs under way", async () => {
  const session = open();
  await session.send("again", "/long 60");
  await eventually(() => session.chunks.length > 5);
  await session.close();
  const later = { chunks: /** @type {any[]} */ ([]), controller: new AbortController() };
  const reading = (async () => {
    for await (const chunk of session.connection.subscribe(later.controller.signal)) later.chunks.push(chunk);
  })();
  await eventually(() => later.chunks.at(-1)?.type === "RUN_FINISHED");
  assert.equal(textOf([...session.chunks, ...later.chunks]).split(" ").length, 60);
  later.controller.abort();
  await reading;
});

test("joinRun reads a run on a socket of its own, through cuts, and closes it", async () => {
  const session = open();
  await session.send("joined", "/long 30");
  await eventually(() => session.chunks.length > 2);
  let cuts = 0;
  server.fate = ({ method }) => (method === "RESUME" && cuts++ < 3 ? { cutAfter: 4 } : undefined);
  const { chunks, error } = await collect(session.connection.joinRun("joined"));
  assert.equal(error, undefined);
  await eventually(() => session.ended("joined"));
  assert.deepEqual(chunks, session.chunks);
  const unknown = await collect(session.connection.joinRun("nobody"));
  assert.equal(unknown.error?.message, "There is no such run.");
  const controller = watchedController();
  const left = collect(session.connection.joinRun("joined", controller.signal));
  await eventually(() => controller.listeners > 0);
  controller.abort();
  assert.equal((await left).error?.name, "AbortError");
  assert.equal(controller.listeners, 0);
  await session.close();
  await eventually(() => server.open.size === 0);
});

test("an untagged run that is joined ends with its socket", async () => {
  server.fate = () => ({ untagged: true });
  const session = open();
  await session.send("bare");
  await eventually(() => session.ended("bare"));
  const fresh = webSocket(`${server.url}/api/chat/ws?id=chat-${chats}`);
  assert.equal((await collect(fresh.joinRun("bare"))).error, undefined);
  await session.close();
});

test("pings are not passed on, and a server that pings and falls silent counts as lost", async () => {
  const timers = watchTimers();
  /** @type {string[]} */
  const handshakes = [];
  const { url: address, close } = await serveSockets((ws, request) => {
    handshakes.push(request.url ?? "");
    ws.on("message", () => {
      ws.send(frame({ id: "1", chunk: { type: "RUN_STARTED", runId: "r" } }));
      ws.send(frame({ type: "ping" }));
    });
    if (handshakes.length === 1) return;
    ws.send(frame({ id: "1", chunk: { type: "RUN_STARTED", runId: "r" } }));
    ws.send(frame({ id: "2", chunk: { type: "RUN_FINISHED", runId: "r" } }));
    ws.close(1000);
  });
  const session = open(address, { ...FAST, ping: 20 });
  await session.send("r");
  await eventually(() => session.ended("r"));
  assert.deepEqual(
    session.chunks.map(({ type }) => type),
    ["RUN_STARTED", "RUN_FINISHED"],
  );
  assert.deepEqual(handshakes, ["/?runId=r", "/?runId=r&offset=1"]);
  await session.close();
  assert.equal(timers.pending, 0);
  timers.restore();
  await close();
});

test("a server that never pings may be silent", async () => {
  const { url: address, close } = await serveSockets((ws) =>
    ws.on("message", async () => {
      ws.send(frame({ type: "RUN_STARTED", runId: "r" }));
      await pause(100);
      ws.send(frame({ type: "RUN_FINISHED", runId: "r" }));
    }),
  );
  const session = open(address, { ping: 5 });
  await session.send("r");
  await eventually(() => session.ended("r"));
  await session.close();
  await close();
});
