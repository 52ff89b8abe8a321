// TanStack's published ChatClient over connection adapters, ours and published, against the app at APP_URL.
// ADAPTERS names those to drive; test_session_clients.py starts all of it. Access is open: who knows an id takes part.
import { randomUUID } from "node:crypto";

import { durableStreamConnection as publishedDurable } from "@durable-streams/tanstack-ai-transport";

import * as ours from "../../static/js/connection-adapters.js";
import { runCases, sessionCases } from "../js/support/client-cases.js";

const APP = process.env.APP_URL ?? "http://127.0.0.1:8000";
const CUT = process.env.CUT_URL;

const createChat = async () => ({ id: randomUUID(), base: APP, headers: {} });

const durable = ({ base, id }) => ({
  sendUrl: `${base}/api/chat?id=${id}`,
  readUrl: `${base}/api/chat-stream?id=${id}`,
});
const ourDurable = (chat, options) =>
  ours.durableStreamConnection({ ...durable(chat), stopUrl: `${chat.base}/api/chat/stop`, chatId: chat.id, ...options });

const runs = (adapter, path) => ({
  connect: ({ base, id }) => adapter(`${base}/api/chat/${path}?id=${id}`),
  ...(CUT && { cut: ({ id }) => adapter(`${CUT}/api/chat/${path}?id=${id}`, { reconnect: { maxAttempts: 20 } }) }),
});

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
  fetchServerSentEvents: (name) => runCases({ name, createChat, hydrates: true, ...runs(ours.fetchServerSentEvents, "sse") }),
  fetchHttpStream: (name) => runCases({ name, createChat, hydrates: true, ...runs(ours.fetchHttpStream, "ndjson") }),
  webSocket: (name) => runCases({ name, createChat, stops: true, ...runs(ours.webSocket, "ws") }),
};

for (const name of (process.env.ADAPTERS ?? "durableStreamConnection,sharedConnection,published").split(",")) SUBJECTS[name](name);
