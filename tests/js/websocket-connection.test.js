/** Runs over one WebSocket, real ones: what is asked, what is heard, and how it ends. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import {
  ChunkParseError,
  EventTooLargeError,
  StreamReadError,
  webSocket,
} from "../../static/js/connection-adapters.js";
import { serveAgui } from "./support/agui-server.js";
import { frame, openSession, serveSockets } from "./support/sockets.js";
import { collect, eventually, textOf, userMessage, watchedController, watchTimers } from "./support/waiting.js";

const server = serveAgui();

let chats = 0;
const url = () => `${server.url}/api/chat/ws?id=chat-${++chats}`;
const FAST = { reconnect: { delayMs: 1 } };
/** @param {string} [address] @param {Parameters<typeof openSession>[1]} [options] */
const open = (address = url(), options = undefined) => openSession(address, options);

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
  await session.connection.send([userMessage("x", "u")], { c: 3 }, undefined, {
    threadId: "t",
    runId: "r",
    forwardedProps: { b: 2, c: 2 },
  });
  await eventually(() => session.ended("r"));
  const forwardedProps = { a: 1, b: 2, c: 3 };
  assert.deepEqual(server.frames, [
    {
      threadId: "t",
      runId: "r",
      state: {},
      messages: [{ id: "u", role: "user", content: "x" }],
      tools: [],
      context: [],
      forwardedProps,
      data: forwardedProps,
    },
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

test("an abort in send() tells the server, ends that run only, and leaves no listener", async () => {
  const session = open();
  const controller = watchedController();
  await session.send("stopped", "/long 1000", controller.signal);
  await session.send("other", "/long 30");
  await eventually(() => session.of("stopped").length > 3);
  controller.abort();
  await eventually(() => session.ended("stopped"));
  assert.deepEqual(session.chunks.find(({ runId, type }) => runId === "stopped" && type === "RUN_FINISHED").outcome, {
    type: "cancelled",
  });
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
    assert.deepEqual(
      session.chunks.map(({ type, runId }) => [type, runId]),
      [["RUN_ERROR", "r"]],
    );
    await close();
  }
});

test("a run that goes on under the same id is one run", async () => {
  const { url: address, close } = await serveSockets((ws) => {
    let frames = 0;
    ws.on("message", () => {
      frames += 1;
      for (const chunk of ["RUN_STARTED", "X", "RUN_FINISHED"]) {
        const more =
          chunk === "RUN_FINISHED" && frames === 1 ? { metadata: { tanstack: { finishReason: "tool_calls" } } } : {};
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
