/**
 * One chat client against a real server: sends a message, follows the stream until its run has ended, and
 * prints what it saw as JSON. Run by test_follow_server.py with its settings as one JSON argument.
 */

import { ChatSession } from "../../static/js/chat-session.js";
import { durableStreamConnection } from "../../static/js/connection-adapters.js";

const { url, chat, headers, text } = JSON.parse(process.argv[2]);

/** @type {any[]} */
const items = [];
/** @type {Record<string, number>} */
const requests = {};
/** @type {string[]} */
const states = [];

const connection = durableStreamConnection({
  sendUrl: `${url}/api/chat?id=${chat}`,
  readUrl: `${url}/api/chat-stream?id=${chat}`,
  headers,
  fetchClient: (input, init) => {
    const mode = init?.method ?? new URL(String(input)).searchParams.get("live") ?? "read";
    requests[mode] = (requests[mode] ?? 0) + 1;
    return fetch(input, init);
  },
});
const follow = connection.subscribeBatches;
connection.subscribeBatches = async function* (/** @type {AbortSignal | undefined} */ signal) {
  for await (const batch of follow(signal)) {
    items.push(...batch.items);
    yield batch;
  }
};
connection.onStatus(({ state }) => states.push(state));

const client = new ChatSession({ connection, me: { id: "me", name: "Me" }, chatId: chat, stopUrl: `${url}/api/chat/stop`, headers });

client.addEventListener("change", () => {
  const ended = items.some(({ type }) => type === "RUN_FINISHED" || type === "RUN_ERROR");
  if (!ended || client.activeRuns.length > 0) return;
  process.stdout.write(JSON.stringify({ items, requests, states, messages: client.messages }));
  client.close();
});
client.start();
client.say(text);
