/** A chat on a small server in memory, in a world without real time: what a client of it is tested with. */

import { ChatSession } from "../../../static/js/chat-session.js";
import { durableStreamConnection } from "../../../static/js/connection-adapters.js";
import { createStreamServer } from "./stream-server.js";
import { createWorld } from "./world.js";

export const ME = { id: "p-ana", name: "Ana" };

/** @param {any} message */
export const echo = ({ id, parts }) => [
  { type: "TEXT_MESSAGE_START", messageId: id, role: "user", name: "Ana", metadata: { participantId: ME.id, createdAt: 1 } },
  { type: "TEXT_MESSAGE_CONTENT", messageId: id, delta: parts[0].content },
  { type: "TEXT_MESSAGE_END", messageId: id },
];
/** @param {string} runId @param {string} triggerId */
export const started = (runId, triggerId) => ({ type: "RUN_STARTED", threadId: "c1", runId, metadata: { agentId: "a", agentName: "Kermit", triggerId } });
/** @param {string} runId @param {...string} words */
export const answer = (runId, ...words) => [
  { type: "TEXT_MESSAGE_START", messageId: `m-${runId}`, role: "assistant", metadata: { agentId: "a", runId } },
  ...words.map((delta) => ({ type: "TEXT_MESSAGE_CONTENT", messageId: `m-${runId}`, delta })),
];
/** @param {string} runId */
export const finished = (runId) => [{ type: "TEXT_MESSAGE_END", messageId: `m-${runId}` }, { type: "RUN_FINISHED", threadId: "c1", runId }];

/** @typedef {{stream: any, posts: any[], onPost?: Post, accept: (body: any) => void, fetch: typeof fetch}} ChatServer */
/** @typedef {(body: any, server: {accept: (body: any) => void}, init: RequestInit) => Response | Promise<Response> | void} Post */

/** A chat server that accepts a message once per id, unless `onPost` does otherwise. @param {any[][]} events */
function createChatServer(events) {
  const stream = createStreamServer();
  for (const batch of events) stream.append(...batch);
  /** @type {any[]} */
  const posts = [];
  const seen = new Set();
  /** @type {ChatServer} */
  const server = {
    stream,
    posts,
    accept(body) {
      const message = body.messages[0];
      if (!seen.has(message.id)) stream.append(...echo(message));
      seen.add(message.id);
    },
    async fetch(url, init) {
      if (init?.method !== "POST") return stream.fetch(url, init);
      const body = JSON.parse(String(init.body));
      posts.push({ path: new URL(String(url)).pathname, ...body });
      const reply = await server.onPost?.(body, server, init);
      if (reply) return reply;
      if (!body.messages) return Response.json({ stopped: false });
      server.accept(body);
      return new Response(null, { status: 202 });
    },
  };
  return server;
}

/**
 * A client of such a chat: of `beside`'s, if that is given.
 *
 * @template {ChatSession} T
 * @param {{events?: any[][], onPost?: Post, snapshot?: any, initialOffset?: string, beside?: any, more?: any}} [options]
 * @param {new (options: any) => T} [Client]
 */
export function open(
  { events = [], onPost, snapshot, initialOffset, beside, more } = {},
  Client = /** @type {new (options: any) => T} */ (/** @type {unknown} */ (ChatSession)),
) {
  /** @type {ReturnType<typeof createWorld>} */
  const world = beside?.world ?? createWorld();
  /** @type {ChatServer} */
  const server = beside?.server ?? createChatServer(events);
  server.onPost ??= onPost;
  const connection = durableStreamConnection({
    sendUrl: "http://chat.test/api/chat?id=c1",
    readUrl: "http://chat.test/api/chat-stream?id=c1",
    initialOffset,
    fetchClient: server.fetch,
    env: world.env,
  });
  let ids = 0;
  const client = new Client({
    connection,
    snapshot,
    me: ME,
    chatId: "c1",
    stopUrl: "http://chat.test/api/chat/stop",
    fetchClient: server.fetch,
    env: world.env,
    ids: () => `id-${++ids}`,
    ...more,
  });
  /** @type {{type: string, detail: any}[]} */
  const told = [];
  for (const type of ["change", "connection", "error", "status", "queue", "finish"]) {
    client.addEventListener(type, (event) => told.push({ type, detail: /** @type {CustomEvent} */ (event).detail }));
  }
  return {
    world,
    client,
    server,
    events: told,
    get texts() {
      return client.messages.map(({ parts }) => parts[0]?.content ?? "");
    },
    get deliveries() {
      return client.messages.map(({ metadata }) => metadata?.delivery);
    },
    async live() {
      client.start();
      await world.until(() => client.connectionStatus.state === "live");
    },
  };
}
