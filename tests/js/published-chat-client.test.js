/** TanStack's published ChatClient with our adapters, and with the published durable one, over a small server. */

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { durableStreamConnection as publishedDurable } from "@durable-streams/tanstack-ai-transport";
import { ChatClient } from "@tanstack/ai-client";

import {
  durableStreamConnection,
  fetchHttpStream,
  fetchServerSentEvents,
  normalizeConnectionAdapter,
  sharedConnection,
  webSocket,
} from "../../static/js/connection-adapters.js";
import { serveAgui } from "./support/agui-server.js";
import { runCases } from "./support/run-cases.js";
import { sessionCases } from "./support/session-cases.js";
import { eventually } from "./support/waiting.js";

/** @import {Chat} from "./support/client-cases.js" */

const server = serveAgui({ word: 2 });
beforeEach(() => {
  server.refuse = (method, url) =>
    url.searchParams.get("id") === "full" && method === "POST"
      ? { status: 429, body: '{"error":"Too many."}' }
      : undefined;
});

let chats = 0;
const createChat = async () => ({ id: `chat-${++chats}`, base: server.url, headers: {} });

/** @param {Chat} chat */
const durable = ({ base, id }) => ({
  sendUrl: `${base}/api/chat?id=${id}`,
  readUrl: `${base}/api/chat-stream?id=${id}`,
});

/** @param {Chat} chat @param {any} [options] */
const ours = (chat, options) =>
  durableStreamConnection({ ...durable(chat), stopUrl: `${chat.base}/api/chat/stop`, chatId: chat.id, ...options });

sessionCases({ name: "durableStreamConnection", createChat, connect: ours });
sessionCases({
  name: "durableStreamConnection, published",
  createChat,
  connect: (chat, options) => publishedDurable({ ...durable(chat), ...options }),
  published: true,
});
sessionCases({
  name: "durableStreamConnection, shared",
  createChat,
  connect: (chat, options) => sharedConnection(ours(chat, options), { name: chat.id }),
});

/** Every connection is cut after seven events. */
const cut = (/** @type {(chat: Chat) => any} */ connect) => (/** @type {Chat} */ chat) => {
  server.fate = () => ({ cutAfter: 7 });
  return connect(chat);
};

const RECONNECT = { reconnect: { delayMs: 1 } };
const runAdapters = /** @type {const} */ ({
  fetchServerSentEvents: (/** @type {Chat} */ { base, id }) =>
    fetchServerSentEvents(`${base}/api/chat/sse?id=${id}`, RECONNECT),
  fetchHttpStream: (/** @type {Chat} */ { base, id }) => fetchHttpStream(`${base}/api/chat/ndjson?id=${id}`, RECONNECT),
  webSocket: (/** @type {Chat} */ { base, id }) => webSocket(`${base}/api/chat/ws?id=${id}`, RECONNECT),
});
for (const [name, connect] of Object.entries(runAdapters)) {
  const own = name === "webSocket" ? { stops: true } : { hydrates: true };
  runCases({ name, createChat, connect, cut: cut(connect), ...own });
  runCases({
    name: `${name}, normalized`,
    createChat,
    connect: (chat) => normalizeConnectionAdapter(connect(chat)),
    cut: cut(connect),
    ...own,
  });
}

// Not for a WebSocket: a browser does not let a page see why a handshake was refused.
for (const [name, connect] of Object.entries({ ...runAdapters, webSocket: ours })) {
  test(`${name === "webSocket" ? "durableStreamConnection" : name}: a refusal is shown in the server's words`, async () => {
    const client = new ChatClient({ connection: connect({ id: "full", base: server.url, headers: {} }) });
    await client.sendMessage("hello");
    assert.deepEqual([client.getStatus(), client.getError()?.message], ["error", "Too many."]);
    client.dispose();
  });
}

test("reading before the first write waits instead of failing, and the first message wakes it", async () => {
  server.eager = false;
  const chat = await createChat();
  const clients = [1, 2].map(() => new ChatClient({ connection: ours(chat) }));
  for (const client of clients) client.subscribe();
  await eventually(() => server.requests.filter(({ url }) => url.searchParams.get("id") === chat.id).length >= 2);
  await clients[0].sendMessage("hello");
  await eventually(() => clients.every((client) => client.getMessages().length === 2));
  assert.deepEqual(
    clients.map((client) => client.getStatus()),
    ["ready", "ready"],
  );
  for (const client of clients) client.dispose();
});

test("a stream that is refused fails the subscription with the server's sentence", async () => {
  const chat = await createChat();
  const refuse = server.refuse;
  server.refuse = (method) =>
    method === "GET" ? { status: 403, body: '{"error":"You may not see this chat.","code":"forbidden"}' } : undefined;
  const client = new ChatClient({ connection: ours(chat) });
  client.subscribe();
  await eventually(() => client.getConnectionStatus() === "error");
  assert.equal(client.getError()?.message, "You may not see this chat.");
  client.dispose();
  server.refuse = refuse;
});

test("a tool in the client runs in the sender's tab only, its result goes to the stream, and the run goes on", async () => {
  const chat = await createChat();
  /** @type {any[]} */
  const executed = [];
  const tabs = ["ana", "ben", "cy"].map((who) => {
    const clock = {
      __toolSide: /** @type {const} */ ("client"),
      name: "clock",
      description: "tells the time",
      execute: async (/** @type {any} */ input) => (executed.push([who, input]), "noon"),
    };
    const client = new ChatClient({ connection: ours(chat), threadId: chat.id, tools: /** @type {any} */ ([clock]) });
    client.subscribe();
    return client;
  });
  await eventually(() => tabs.every((tab) => tab.getConnectionStatus() === "connected"));
  await tabs[1].sendMessage("/client");
  const said = () =>
    tabs.map((tab) =>
      tab
        .getMessages()
        .flatMap(({ parts }) => parts)
        .filter(({ type }) => type === "text")
        .map((part) => /** @type {any} */ (part).content)
        .join("|"),
    );
  await eventually(() => said().every((text) => text.includes('It said "noon".')));
  assert.deepEqual(executed, [["ben", { zone: "UTC" }]]);
  const [, posted] = server.requests.filter(
    ({ method, url }) => method === "POST" && url.searchParams.get("id") === chat.id,
  );
  assert.deepEqual(posted.body.resume, [
    { interruptId: `${posted.body.parentRunId}-call-input`, status: "resolved", payload: "noon" },
  ]);
  assert.deepEqual(posted.body.tools[0].name, "clock");
  for (const tab of tabs) {
    const results = tab
      .getMessages()
      .flatMap(({ parts }) => parts)
      .filter(({ type }) => type === "tool-result");
    assert.equal(results.length, 1);
    tab.dispose();
  }
});
