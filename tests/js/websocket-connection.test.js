/** Runs over one WebSocket, real ones: what is asked, what is heard, and what a lost socket costs. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, beforeEach, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { WebSocketServer } from "ws";

import { ChunkParseError, EventTooLargeError, StreamReadError, webSocket } from "../../static/js/connection-adapters.js";
import { startAguiServer } from "./support/agui-server.js";
import { collect, eventually, textOf, userMessage, watchedController, watchTimers } from "./support/waiting.js";

/** @type {Awaited<ReturnType<typeof startAguiServer>>} */
let server;
before(async () => (server = await startAguiServer()));
after(() => server.close());
beforeEach(() => {
  server.requests.length = server.streams.length = server.frames.length = 0;
  server.fate = () => undefined;
  server.refuse = () => undefined;
});

let chats = 0;
const url = () => `${server.url}/api/chat/ws?id=chat-${++chats}`;
const FAST = { reconnect: { delayMs: 1 } };

/** A connection with a subscriber, and what it has heard. @param {string} [address] @param {Parameters<typeof webSocket>[1]} [options] */
function open(address = url(), options = FAST) {
  const connection = webSocket(address, options);
  const controller = watchedController();
  /** @type {any[]} */
  const chunks = [];
  const session = {
    connection,
    controller,
    chunks,
    error: /** @type {any} */ (undefined),
    over: false,
    done: /** @type {Promise<void>} */ (Promise.resolve()),
    /** @param {string} runId */
    of: (runId) => chunks.filter((chunk) => JSON.stringify(chunk).includes(`"${runId}`)),
    /** @param {string} runId */
    ended: (runId) => chunks.some(({ type, runId: id }) => id === runId && (type === "RUN_FINISHED" || type === "RUN_ERROR")),
    /** @param {string} runId @param {string} [text] @param {AbortSignal} [signal] @param {object} [more] */
    send: (runId, text = "Hello", signal = undefined, more = {}) =>
      connection.send([userMessage(text, `u-${runId}`)], undefined, signal, { threadId: "t", runId, ...more }),
    async close() {
      controller.abort();
      await session.done;
    },
  };
  session.done = (async () => {
    try {
      for await (const chunk of connection.subscribe(controller.signal)) chunks.push(chunk);
    } catch (error) {
      session.error = error;
    }
    session.over = true;
  })();
  return session;
}

/** A server of the test's own. @param {(ws: import("ws").WebSocket, request: import("node:http").IncomingMessage) => void} serve */
async function serveSockets(serve) {
  const sockets = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  sockets.on("connection", serve);
  await once(sockets, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (sockets.address());
  return {
    url: `ws://127.0.0.1:${port}/`,
    async close() {
      for (const ws of sockets.clients) ws.terminate();
      sockets.close();
      await once(sockets, "close");
    },
  };
}

/** @param {object} value */
const frame = (value) => JSON.stringify(value);

test("runs one after the other over one socket; send() lasts until the frame is written", async () => {
  const session = open();
  await session.send("r1", "One");
  await eventually(() => session.ended("r1"));
  await session.send("r2", "Two");
  await eventually(() => session.ended("r2"));
  assert.equal(textOf(session.of("r1")), "Echo: One");
  assert.equal(textOf(session.of("r2")), "Echo: Two");
  assert.equal(server.requests.length, 1);
  assert.equal(server.requests[0].url.searchParams.get("runId"), "r1");
  await session.close();
});

test("the frame is AG-UI's RunAgentInput; later sources win", async () => {
  const session = open(url(), { ...FAST, body: { a: 1, b: 1, c: 1 } });
  await session.connection.send([userMessage("x", "u")], { c: 3 }, undefined, { threadId: "t", runId: "r", forwardedProps: { b: 2, c: 2 } });
  await eventually(() => session.ended("r"));
  const forwardedProps = { a: 1, b: 2, c: 3 };
  assert.deepEqual(server.frames, [
    { threadId: "t", runId: "r", state: {}, messages: [{ id: "u", role: "user", content: "x" }], tools: [], context: [], forwardedProps, data: forwardedProps },
  ]);
  await session.close();
});

test("runs side by side, their chunks apart", async () => {
  const session = open();
  await Promise.all(["a", "b", "c"].map((runId) => session.send(runId, `/long 10 ${runId}`)));
  await eventually(() => ["a", "b", "c"].every(session.ended));
  for (const runId of ["a", "b", "c"]) assert.equal(textOf(session.of(runId)).split(" ").length, 10);
  assert.equal(server.requests.length, 1);
  await session.close();
});

test("a cut after any chunk: nothing is missing, nothing twice, and the next run gets a new conversation", async () => {
  const whole = open();
  await whole.send("whole", "/tool please");
  await eventually(() => whole.ended("whole"));
  const types = whole.chunks.map(({ type, delta }) => [type, delta]);
  await whole.close();
  assert.ok(types.length > 15);
  server.fate = ({ runId, method }) => (method === "RUN" && runId.startsWith("cut-") ? { cutAfter: Number(runId.slice(4)) } : undefined);
  await Promise.all(
    types.slice(1).map(async (_, index) => {
      const runId = `cut-${index + 1}`;
      const session = open();
      await session.send(runId, "/tool please");
      await eventually(() => session.ended(runId));
      assert.deepEqual(session.chunks.map(({ type, delta }) => [type, delta]), types, runId);
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
    assert.deepEqual(textOf(session.of(runId)).split(" "), Array.from({ length: 20 }, (_, n) => `word${n}`));
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

test("an abort in send() tells the server, ends that run only, and leaves no listener", async () => {
  const session = open();
  const controller = watchedController();
  await session.send("stopped", "/long 1000", controller.signal);
  await session.send("other", "/long 30");
  await eventually(() => session.of("stopped").length > 3);
  controller.abort();
  await eventually(() => session.ended("stopped"));
  assert.deepEqual(session.chunks.find(({ runId, type }) => runId === "stopped" && type === "RUN_FINISHED").outcome, { type: "cancelled" });
  assert.deepEqual(server.frames.at(-1), { type: "abort", runId: "stopped" });
  await eventually(() => session.ended("other"));
  assert.equal(textOf(session.of("other")).split(" ").length, 30);
  assert.equal(controller.listeners, 0);
  await session.close();
});

test("an abort reaches the server over a new conversation if the run is on a socket of its own", async () => {
  const session = open();
  const controller = new AbortController();
  server.fate = ({ method }) => (method === "RUN" ? { cutAfter: 3 } : undefined);
  await session.send("moved", "/long 1000", controller.signal);
  await eventually(() => session.of("moved").length > 6);
  controller.abort();
  await eventually(() => server.frames.at(-1).type === "abort");
  await session.close();
});

test("a send that is aborted before its socket is open sends nothing", async () => {
  const { url: address, close } = await serveSockets((ws) => ws.on("message", () => assert.fail("sent")));
  const session = open(address);
  const controller = new AbortController();
  const sending = session.send("r", "x", controller.signal);
  controller.abort();
  await assert.rejects(sending, { name: "AbortError" });
  await assert.rejects(session.send("r", "x", AbortSignal.abort()), { name: "AbortError" });
  await session.close();
  await close();
});

test("a refused handshake rejects send(), and it may be tried again", async () => {
  const session = open();
  server.refuse = () => ({ status: 403 });
  await assert.rejects(session.send("r1"), StreamReadError);
  server.refuse = () => undefined;
  await session.send("r2");
  await eventually(() => session.ended("r2"));
  await session.close();
});

test("an abort in subscribe() ends everything: sockets, timers, listeners; the server's run goes on", async () => {
  const timers = watchTimers();
  const session = open(url(), { reconnect: { delayMs: 3_600_000 } });
  const controller = watchedController();
  await session.send("kept", "/long 40", controller.signal);
  await eventually(() => session.chunks.length > 3);
  // As ChatClient.unsubscribe() does it: first the run, then the subscription.
  controller.abort();
  session.controller.abort();
  await session.done;
  assert.equal(session.error, undefined);
  assert.equal(controller.listeners + session.controller.listeners + timers.pending, 0);
  await eventually(() => server.open.size === 0);
  assert.ok(server.frames.every(({ type }) => type !== "abort"));
  await eventually(() => server.chats.get(`chat-${chats}`)?.runs.get("kept")?.over);
  timers.restore();
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

test("what comes before anybody subscribes is kept for who does", async () => {
  const connection = webSocket(url(), FAST);
  await connection.send([userMessage("Hello")], undefined, undefined, { threadId: "t", runId: "early" });
  await eventually(() => server.open.size === 0); // with the run the socket has done what it was for
  const controller = new AbortController();
  const reading = collect(connection.subscribe(controller.signal));
  await pause(5);
  controller.abort();
  assert.equal(textOf((await reading).chunks), "Echo: Hello");
});

test("several subscribers hear the same", async () => {
  const session = open();
  const controller = new AbortController();
  const other = collect(session.connection.subscribe(controller.signal));
  await session.send("r");
  await eventually(() => session.ended("r"));
  controller.abort();
  assert.deepEqual((await other).chunks, session.chunks);
  await session.send("r2");
  await eventually(() => session.ended("r2"));
  await session.close();
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
  assert.deepEqual(session.chunks.map(({ type }) => type), ["RUN_STARTED", "RUN_FINISHED"]);
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

test("a frame that is no JSON object, or too large, fails what was under way", async () => {
  for (const [bad, kind] of /** @type {const} */ ([
    ["{oops", ChunkParseError],
    ["[]", ChunkParseError],
    [frame({ type: "X", text: "x".repeat(1024 * 1024) }), EventTooLargeError],
  ])) {
    const { url: address, close } = await serveSockets((ws) => ws.on("message", () => ws.send(bad)));
    const session = open(address);
    await session.send("r");
    await session.done;
    assert.ok(session.error instanceof kind, String(session.error));
    assert.deepEqual(session.chunks.map(({ type, runId }) => [type, runId]), [["RUN_ERROR", "r"]]);
    await close();
  }
});

test("a run that goes on under the same id is one run", async () => {
  const { url: address, close } = await serveSockets((ws) => {
    let frames = 0;
    ws.on("message", () => {
      frames += 1;
      for (const chunk of ["RUN_STARTED", "X", "RUN_FINISHED"]) {
        const more = chunk === "RUN_FINISHED" && frames === 1 ? { metadata: { tanstack: { finishReason: "tool_calls" } } } : {};
        ws.send(frame({ id: `${frames}.${chunk}`, chunk: { type: chunk, runId: "r", ...more } }));
      }
    });
  });
  const session = open(address);
  await session.send("r");
  await eventually(() => session.chunks.length === 3);
  await session.send("r");
  await eventually(() => session.chunks.length === 6);
  await session.close();
  await close();
});

test("the address: asked for at every socket, http or ws, and the protocols", async () => {
  /** @type {string[]} */
  const seen = [];
  const { url: address, close } = await serveSockets((ws, request) => {
    seen.push(`${request.url} ${request.headers["sec-websocket-protocol"]}`);
    ws.on("message", () => ws.send(frame({ type: "RUN_FINISHED", runId: "r" })));
  });
  let turn = 0;
  const connection = webSocket(() => `${address.replace("ws:", "http:")}?turn=${++turn}#part`, { protocols: "chat" });
  for (const expected of [1, 2]) {
    const controller = new AbortController();
    const reading = collect(connection.subscribe(controller.signal));
    await connection.send([], undefined, undefined, { runId: "r" });
    await eventually(() => seen.length === expected);
    controller.abort();
    await reading;
  }
  assert.deepEqual(seen, ["/?turn=1&runId=r chat", "/?turn=2&runId=r chat"]);
  await close();
});
