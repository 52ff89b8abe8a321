/** Our chat client over adapters that are no session, against a small server on a real socket. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { adapterSession, fetchHttpStream, fetchServerSentEvents, stream, webSocket } from "../../static/js/connection-adapters.js";
import { ChatClient } from "../../static/js/chat-client.js";
import { serveAgui } from "./support/agui-server.js";
import { eventually } from "./support/waiting.js";

const server = serveAgui({ word: 2 });

const adapters = /** @type {const} */ ({
  fetchServerSentEvents: (/** @type {string} */ id) => fetchServerSentEvents(`${server.url}/api/chat/sse?id=${id}`),
  fetchHttpStream: (/** @type {string} */ id) => fetchHttpStream(`${server.url}/api/chat/ndjson?id=${id}`),
  webSocket: (/** @type {string} */ id) => webSocket(`${server.url}/api/chat/ws?id=${id}`),
});
let chats = 0;

/** @param {any} connection @param {any} [options] */
function open(connection, options) {
  const client = new ChatClient({ connection: adapterSession(connection), me: { id: "p", name: "Ana" }, chatId: "c", ...options });
  client.start();
  return client;
}

/** @param {ChatClient} client */
const shown = ({ messages }) =>
  messages.map(({ role, parts }) => [role, parts.map(({ type, content, state }) => (type === "text" ? content : `${type} ${state}`)).join("|")]);

for (const [name, connect] of Object.entries(adapters)) {
  test(`${name}: turns, a failure, and a stop`, async () => {
    const id = `${name}-${++chats}`;
    const client = open(connect(id));
    await client.sendMessage("hello");
    assert.deepEqual([client.status, client.sessionGenerating], ["ready", false]);
    assert.deepEqual(shown(client), [["user", "hello"], ["assistant", "Echo: hello"]]);
    await client.sendMessage("/fail");
    assert.deepEqual([client.status, client.error?.message], ["error", "The agent broke."]);
    const done = client.sendMessage("/long 5000");
    await eventually(() => client.status === "streaming" && client.messages.length === 6);
    await client.stop();
    await done;
    assert.equal(client.status, "ready");
    await eventually(() => !client.sessionGenerating);
    await client.sendMessage("again");
    assert.deepEqual(shown(client).at(-1), ["assistant", "Echo: again"]);
    client.close();
  });

  test(`${name}: a tool of the client, whose result the run goes on with`, async () => {
    /** @type {any[]} */
    const executed = [];
    const clock = { name: "clock", execute: (/** @type {any} */ input) => (executed.push(input), "noon") };
    const client = open(connect(`${name}-${++chats}`), { tools: [clock] });
    await client.sendMessage("/client");
    assert.deepEqual(executed, [{ zone: "UTC" }]);
    assert.deepEqual(shown(client), [
      ["user", "/client"],
      ["assistant", "Let me look.|tool-call complete|tool-result complete"],
      ["assistant", 'It said "noon".'],
    ]);
    assert.equal(client.status, "ready");
    client.close();
  });
}

test("the conversation goes along, as it is shown", async () => {
  /** @type {any[]} */
  const asked = [];
  const client = open(
    stream(async function* (messages) {
      asked.push(messages.map((/** @type {any} */ { id, role }) => id ?? role));
      const runId = "of-the-server";
      yield { type: "RUN_STARTED", runId };
      yield { type: "TEXT_MESSAGE_START", messageId: `a${asked.length}`, role: "assistant" };
      yield { type: "TEXT_MESSAGE_CONTENT", messageId: `a${asked.length}`, delta: "Yes." };
      yield { type: "RUN_FINISHED", runId };
    }),
  );
  await client.sendMessage({ content: "one", id: "u1" });
  await client.sendMessage({ content: "two", id: "u2" });
  await client.reload();
  client.clear();
  await client.sendMessage({ content: "three", id: "u3" });
  assert.deepEqual(asked, [["u1"], ["u1", "a1", "u2"], ["u1", "a1", "u2"], ["u3"]]);
  assert.deepEqual(shown(client), [["user", "three"], ["assistant", "Yes."]]);
  client.close();
});

test("a server that cannot be reached is an error of the turn", async () => {
  const client = open(fetchServerSentEvents("http://127.0.0.1:9/api/chat/sse", { reconnect: { maxAttempts: 0, delayMs: 1 } }));
  await client.sendMessage("hello");
  assert.equal(client.status, "error");
  assert.match(client.error?.message ?? "", /cannot be reached/);
  assert.deepEqual(client.messages[0].parts, [{ type: "text", content: "hello" }]);
  client.close();
});
