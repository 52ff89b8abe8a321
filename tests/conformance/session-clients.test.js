// TanStack's published ChatClient over connection adapters, ours and published, against the app at APP_URL.
// ADAPTERS names those to drive; test_session_clients.py starts all of it. Access is open: who knows an id takes part.
// An adapter NAME is given CUT_URL_NAME, if there is one, where a proxy cuts its connections.
import { randomUUID } from "node:crypto";

import { durableStreamConnection as publishedDurable } from "@durable-streams/tanstack-ai-transport";

import * as ours from "../../static/js/connection-adapters.js";
import { runCases } from "../js/support/run-cases.js";
import { sessionCases } from "../js/support/session-cases.js";

const APP = process.env.APP_URL ?? "http://127.0.0.1:8000";

const createChat = async () => ({ id: randomUUID(), base: APP, headers: {} });

/** Browsers send an Origin with a WebSocket; a program brings its token. */
async function createChatWithToken() {
  const reply = await fetch(`${APP}/api/chats`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: "{}",
  });
  const { id, token } = await reply.json();
  return { id, base: APP, headers: { Authorization: `Bearer ${token}` } };
}

const durable = ({ base, id }) => ({
  sendUrl: `${base}/api/chat?id=${id}`,
  readUrl: `${base}/api/chat-stream?id=${id}`,
});
const ourDurable = (chat, options) =>
  ours.durableStreamConnection({
    ...durable(chat),
    stopUrl: `${chat.base}/api/chat/stop`,
    chatId: chat.id,
    ...options,
  });

const withHeaders = (headers) =>
  class extends WebSocket {
    constructor(url) {
      super(url, { headers });
    }
  };

/** The cases of one of our adapters that have a run per request or frame. */
function driveRuns(name, path, own) {
  const adapter = (base, { id, headers }, options) =>
    ours[name](`${base}/api/chat/${path}?id=${id}`, { headers, WebSocketImpl: withHeaders(headers), ...options });
  const cutUrl = process.env[`CUT_URL_${name}`];
  runCases({
    name,
    createChat: createChatWithToken,
    connect: (chat) => adapter(APP, chat),
    ...(cutUrl && { cut: (chat) => adapter(cutUrl, chat) }),
    ...own,
  });
}

const SUBJECTS = {
  durableStreamConnection: () => sessionCases({ name: "durableStreamConnection", createChat, connect: ourDurable }),
  sharedConnection: () =>
    sessionCases({
      name: "sharedConnection",
      createChat,
      connect: (chat, options) => ours.sharedConnection(ourDurable(chat, options), { name: chat.id }),
    }),
  published: () =>
    sessionCases({
      name: "published",
      createChat,
      connect: (chat, options) => publishedDurable({ ...durable(chat), ...options }),
      published: true,
    }),
  fetchServerSentEvents: (name) => driveRuns(name, "sse", { hydrates: true }),
  fetchHttpStream: (name) => driveRuns(name, "ndjson", { hydrates: true }),
  webSocket: (name) => driveRuns(name, "ws", { stops: true }),
};

for (const name of (process.env.ADAPTERS ?? "durableStreamConnection,sharedConnection,published").split(","))
  SUBJECTS[name](name);
