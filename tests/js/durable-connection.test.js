import assert from "node:assert/strict";
import { test } from "node:test";

import { createReducer } from "../../static/js/chat-reducer.js";
import { durableStreamConnection } from "../../static/js/connection-adapters.js";
import { HttpError } from "../../static/js/http.js";
import { createStreamServer, offsetOf } from "./support/stream-server.js";
import { watchedController } from "./support/waiting.js";
import { createWorld } from "./support/world.js";

const READ = "http://chat.test/api/chat-stream?id=c1";
const SEND = "http://chat.test/api/chat?id=c1";

/** @param {string} id @param {...string} deltas */
const text = (id, ...deltas) => [
  { type: "TEXT_MESSAGE_START", messageId: id, role: "user" },
  ...deltas.map((delta) => ({ type: "TEXT_MESSAGE_CONTENT", messageId: id, delta })),
  { type: "TEXT_MESSAGE_END", messageId: id },
];

/** @param {Partial<Parameters<typeof durableStreamConnection>[0]>} [options] */
function connect(options) {
  const world = createWorld();
  const server = createStreamServer({ pageSize: 1 });
  const connection = durableStreamConnection({ sendUrl: SEND, readUrl: READ, fetchClient: server.fetch, env: world.env, ...options });
  return { world, server, connection };
}

/** Takes so many chunks of a subscription, then lets go. @param {AsyncIterable<any>} subscription @param {number} count */
async function take(subscription, count) {
  const taken = [];
  for await (const chunk of subscription) if (taken.push(chunk) === count) break;
  return taken;
}

/** A fetch that records requests and gives these replies. @param {...Response} replies */
function recorder(...replies) {
  /** @type {{url: string, init: RequestInit, body: any, headers: Headers}[]} */
  const requests = [];
  return {
    requests,
    /** @type {typeof fetch} */
    fetch: async (url, init = {}) => {
      requests.push({ url: String(url), init, body: JSON.parse(String(init.body)), headers: new Headers(init.headers) });
      return replies.shift() ?? new Response(null, { status: 202 });
    },
  };
}

test("with an initial offset: the chunks after it, one by one", async () => {
  const { server, connection } = connect({ initialOffset: offsetOf(1) });
  server.append("old");
  server.append("a", "b");
  server.append("c");
  assert.deepEqual(await take(connection.subscribe(), 3), ["a", "b", "c"]);
  assert.equal(server.requests[0].offset, offsetOf(1));
  assert.equal(connection.offset, offsetOf(3));
});

test("without one: first the whole history as a snapshot, then chunks", async () => {
  const { server, connection } = connect();
  server.append(...text("m1", "Hel", "lo"));
  server.append(...text("m2", "World"));
  const chunks = connection.subscribe();
  const iterator = chunks[Symbol.asyncIterator]();
  const { value } = await iterator.next();
  assert.equal(value.type, "MESSAGES_SNAPSHOT");
  assert.deepEqual(
    value.messages.map((/** @type {any} */ { id, role, parts }) => [id, role, parts]),
    [
      ["m1", "user", [{ type: "text", content: "Hello" }]],
      ["m2", "user", [{ type: "text", content: "World" }]],
    ],
  );
  const next = iterator.next();
  server.append({ type: "CUSTOM", name: "x" });
  assert.deepEqual((await next).value, { type: "CUSTOM", name: "x" });
  await iterator.return?.();
});

test("emitSnapshotOnSubscribe: false replays the chunks instead", async () => {
  const { server, connection } = connect({ emitSnapshotOnSubscribe: false });
  server.append("a");
  server.append("b");
  assert.deepEqual(await take(connection.subscribe(), 2), ["a", "b"]);
});

test("a subscriber that lets go within a batch, or before the snapshot, loses and repeats nothing", async () => {
  const { server, connection } = connect({ initialOffset: "-1" });
  server.append("a", "b", "c");
  server.append("d");
  assert.deepEqual(await take(connection.subscribe(), 2), ["a", "b"]);
  assert.deepEqual(await take(connection.subscribe(), 2), ["c", "d"]);

  const fresh = connect();
  fresh.server.append(...text("m1", "a"));
  fresh.server.append(...text("m2", "b"));
  const controller = new AbortController();
  fresh.server.hook = ({ number }) => (number === 1 ? (controller.abort(), "hang") : undefined);
  assert.deepEqual(await take(fresh.connection.subscribe(controller.signal), 1), []);
  assert.equal(fresh.connection.offset, undefined);
  const [snapshot] = await take(fresh.connection.subscribe(), 1);
  assert.equal(snapshot.messages.length, 2);
});

test("batches are seen whole by who asks for batches", async () => {
  const { server, connection } = connect({ initialOffset: "-1" });
  server.append("a", "b");
  const [batch] = await take(connection.subscribeBatches(), 1);
  assert.deepEqual(batch, { items: ["a", "b"], offset: offsetOf(1), upToDate: true });
});

test("readUrl is sendUrl unless given", async () => {
  const { server, connection } = connect({ readUrl: undefined });
  server.append({});
  await take(connection.subscribe(), 1);
  assert.equal(server.requests[0].url.pathname, "/api/chat");
});

test("statuses are heard until one stops listening, and a nudge reaches the reader", async () => {
  const { world, server, connection } = connect();
  /** @type {string[]} */
  const heard = [];
  const forget = connection.onStatus(({ state }) => heard.push(state));
  const controller = new AbortController();
  const reading = take(connection.subscribe(controller.signal), 99);
  await world.until(() => heard.includes("live"));
  server.hook = () => "refuse";
  server.bodies[0].cut();
  await world.until(() => server.requests.length === 8);
  server.hook = () => undefined;
  connection.retryNow();
  await world.settle();
  assert.equal(heard[heard.length - 1], "live");
  forget();
  const before = heard.length;
  server.bodies[1].cut();
  await world.until(() => server.bodies.length === 3);
  assert.equal(heard.length, before);
  controller.abort();
  await reading;
});

test("send posts messages and data, and of the run what is there", async () => {
  const { requests, fetch } = recorder();
  const { connection } = connect({ fetchClient: fetch, headers: async () => ({ Authorization: "Bearer t" }) });
  const messages = [{ id: "m", role: "user", parts: [] }];
  await connection.send(messages, { tone: "dry" }, undefined, {
    threadId: "t",
    runId: "r2",
    parentRunId: "r1",
    resume: { id: "i" },
    clientTools: [{ name: "now" }],
    headers: { "X-Key": "k" },
  });
  await connection.send(messages, undefined, undefined, { runId: "r3", clientTools: [] });
  await connection.send(messages);
  assert.deepEqual(requests.map(({ body }) => body), [
    { messages, data: { tone: "dry" }, runId: "r2", parentRunId: "r1", resume: { id: "i" }, tools: [{ name: "now" }] },
    { messages, runId: "r3" },
    { messages },
  ]);
  const [{ url, init, headers }] = requests;
  assert.deepEqual([url, init.method], [SEND, "POST"]);
  assert.deepEqual([...headers], [["authorization", "Bearer t"], ["content-type", "application/json"], ["x-key", "k"]]);
});

test("later sources of data win: the connection's, the run's, the message's", async () => {
  const { requests, fetch } = recorder();
  const { connection } = connect({ fetchClient: fetch, body: { a: 1, b: 1, c: 1 }, credentials: "include" });
  await connection.send([], { c: 3 }, undefined, { forwardedProps: { b: 2, c: 2 } });
  assert.deepEqual(requests[0].body.data, { a: 1, b: 2, c: 3 });
  assert.equal(requests[0].init.credentials, "include");
});

test("credentials, a fetch client and a dynamic address serve reads as well as writes", async () => {
  const { server, connection } = connect();
  server.append("a");
  /** @type {RequestInit[]} */
  const inits = [];
  let asked = 0;
  const other = connect({
    initialOffset: "-1",
    readUrl: () => `${READ}&asked=${++asked}`,
    credentials: "omit",
    fetchClient: (input, init = {}) => {
      inits.push(init);
      return server.fetch(input, init);
    },
  });
  assert.deepEqual(await take(other.connection.subscribe(), 1), ["a"]);
  assert.equal(inits[0].credentials, "omit");
  assert.equal(server.requests[0].url.searchParams.get("asked"), "1");
  assert.equal(connection.offset, undefined);
});

test("a snapshot of the reducer begins the subscription: what is being written is written again, and nothing is read twice", async () => {
  const { server, connection } = connect({ emitSnapshotOnSubscribe: false, initialOffset: "-1" });
  const history = createReducer();
  for (const chunk of [
    { type: "RUN_STARTED", runId: "r", threadId: "t" },
    { type: "TEXT_MESSAGE_START", messageId: "m", role: "assistant", metadata: { runId: "r" } },
    { type: "TEXT_MESSAGE_CONTENT", messageId: "m", delta: "Hel" },
  ]) {
    server.append(chunk);
    history.apply(chunk);
  }
  const snapshot = { ...history.snapshot(), offset: offsetOf(3) };
  const joined = connect({ snapshot });
  joined.server.log.push(...server.log);
  joined.server.append({ type: "TEXT_MESSAGE_CONTENT", messageId: "m", delta: "lo" });
  const chunks = await take(joined.connection.subscribe(), 5);
  assert.deepEqual(chunks.map(({ type, delta }) => [type, delta]), [
    ["MESSAGES_SNAPSHOT", undefined],
    ["RUN_STARTED", undefined],
    ["TEXT_MESSAGE_START", undefined],
    ["TEXT_MESSAGE_CONTENT", "Hel"],
    ["TEXT_MESSAGE_CONTENT", "lo"],
  ]);
  assert.equal(joined.server.requests[0].offset, offsetOf(3));
  assert.equal((await take(connection.subscribe(), 3)).length, 3);
});

test("a picture of somebody is told by telling all again, in the middle of an answer too", async () => {
  const { world, server, connection } = connect();
  const controller = new AbortController();
  /** @type {any[]} */
  const chunks = [];
  const reading = (async () => {
    for await (const chunk of connection.subscribe(controller.signal)) chunks.push(chunk);
  })();
  await world.until(() => chunks.length === 1);
  const part = { type: "image", source: { type: "url", value: "https://example.org/a.png" } };
  server.append(
    { type: "RUN_STARTED", runId: "r", threadId: "t" },
    { type: "TEXT_MESSAGE_START", messageId: "m", role: "assistant", metadata: { runId: "r" } },
    { type: "TEXT_MESSAGE_CONTENT", messageId: "m", delta: "Hel" },
  );
  const [start, content, end] = text("u", "Look");
  server.append(start, content, { type: "CUSTOM", name: "message.part", value: { messageId: "u", part } }, end);
  server.append({ type: "TEXT_MESSAGE_CONTENT", messageId: "m", delta: "lo" });
  await world.until(() => chunks.at(-1).delta === "lo");
  const reducer = createReducer();
  for (const chunk of chunks) reducer.apply(structuredClone(chunk));
  assert.deepEqual(
    reducer.messages.map(({ id, parts }) => [id, parts]),
    [
      ["m", [{ type: "text", content: "Hello" }]],
      ["u", [{ type: "text", content: "Look" }, part]],
    ],
  );
  controller.abort();
  await reading;
});

test("an abort leaves no listener: of the subscription, of a send, of a run under way", async () => {
  const { world, server, connection } = connect({ initialOffset: "-1", stopUrl: "http://chat.test/stop", chatId: "c1" });
  const [subscription, run] = [watchedController(), watchedController()];
  const reading = take(connection.subscribe(subscription.signal), 99);
  await world.settle();
  server.hook = ({ url }) => (url.pathname === "/api/chat" ? new Response(null, { status: 202 }) : undefined);
  await connection.send([], undefined, run.signal, { runId: "r1" });
  assert.equal(run.listeners, 1);
  server.append({ type: "RUN_FINISHED", runId: "r1" });
  await world.until(() => run.listeners === 0);
  await connection.send([], undefined, run.signal, { runId: "r2" });
  subscription.abort();
  await reading;
  assert.deepEqual([run.listeners, subscription.listeners, world.timers, world.listening], [0, 0, 0, 0]);
});

test("a run that is given up is stopped on the server; a subscriber who leaves stops nothing", async () => {
  const { world, server, connection } = connect({ initialOffset: "-1", stopUrl: "http://chat.test/stop", chatId: "c1" });
  /** @type {any[]} */
  const stopped = [];
  server.hook = ({ url }) => {
    if (url.pathname === "/stop") stopped.push(url.pathname);
    return url.pathname === "/api/chat-stream" ? undefined : new Response("{}", { status: 202 });
  };
  for (const leaves of [false, true]) {
    const [subscription, run] = [new AbortController(), new AbortController()];
    const reading = take(connection.subscribe(subscription.signal), 99);
    await world.settle();
    await connection.send([], undefined, run.signal, { runId: `r-${leaves}` });
    run.abort();
    if (leaves) subscription.abort();
    await world.settle();
    assert.equal(stopped.length, 1);
    subscription.abort();
    await reading;
  }
});

test("a refused send throws the server's sentence with what is needed to go on", async () => {
  const { fetch } = recorder(
    new Response('{"error":"Too many messages.","code":"rate-limited"}', { status: 429, headers: { "Retry-After": "3" } }),
    new Response("<html>", { status: 502 }),
    new Response('{"error":"Another text has this id.","code":"conflict"}', { status: 409 }),
  );
  const { connection } = connect({ fetchClient: fetch });
  const refusal = async () => {
    const error = await connection.send([]).then(() => assert.fail("was accepted"), (reason) => reason);
    assert.ok(error instanceof HttpError);
    const { message, status, code, retryAfter, passing } = error;
    return { message, status, code, retryAfter, passing };
  };
  assert.deepEqual(await refusal(), { message: "Too many messages.", status: 429, code: "rate-limited", retryAfter: 3000, passing: true });
  assert.deepEqual(await refusal(), { message: "The server answered 502.", status: 502, code: undefined, retryAfter: 0, passing: true });
  assert.deepEqual(await refusal(), { message: "Another text has this id.", status: 409, code: "conflict", retryAfter: 0, passing: false });
});

test("an abort reaches the request and comes out as it went in", async () => {
  const { server, connection } = connect();
  server.hook = () => "hang";
  const controller = new AbortController();
  const sending = connection.send([], undefined, controller.signal);
  controller.abort();
  await assert.rejects(sending, { name: "AbortError" });
});
