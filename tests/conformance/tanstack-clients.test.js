// TanStack's published ChatClient over its own connection adapters, against the app at APP_URL. The adapters are
// given CUT_URL where a proxy cuts their first connections. test_tanstack_clients.py starts all of it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ChatClient, fetchHttpStream, fetchServerSentEvents, webSocket } from "@tanstack/ai-client";

import { shown, textOf } from "../js/support/client-cases.js";
import { eventually } from "../js/support/waiting.js";

const APP = process.env.APP_URL;
const JSON_TYPE = { "Content-Type": "application/json" };

/** A chat of its own for each test, with the token that opens it. */
async function createChat() {
  const reply = await fetch(`${APP}/api/chats`, { method: "POST", headers: JSON_TYPE, body: "{}" });
  const { id, token } = await reply.json();
  return { id, headers: { Authorization: `Bearer ${token}` } };
}

/** The published adapters by name. Browsers send an Origin with a WebSocket; a program brings its token. */
const adapters = {
  fetchServerSentEvents: (chat, base = APP) =>
    fetchServerSentEvents(`${base}/api/chat/sse?id=${chat.id}`, { headers: chat.headers }),
  fetchHttpStream: (chat, base = APP) =>
    fetchHttpStream(`${base}/api/chat/ndjson?id=${chat.id}`, { headers: chat.headers }),
  webSocket: (chat, base = APP) =>
    webSocket(`${base.replace(/^http/, "ws")}/api/chat/ws?id=${chat.id}`, {
      WebSocketImpl: class extends WebSocket {
        constructor(url) {
          super(url, { headers: chat.headers });
        }
      },
    }),
};

const clientOf = (chat, connection, options = {}) =>
  new ChatClient({ connection, threadId: chat.id, ...options });

const wordsOf = (message) => textOf(message).split(/\s+/).length;

async function snapshot(chat) {
  const reply = await fetch(`${APP}/api/chats/${chat.id}/snapshot`, { headers: chat.headers });
  return await reply.json();
}

const assertShowsTheChat = async (client, chat) =>
  assert.deepEqual(shown(client.getMessages()), shown((await snapshot(chat)).messages));

for (const [name, connect] of Object.entries(adapters)) {
  test(`${name}: two answers in turn`, async () => {
    const chat = await createChat();
    const client = clientOf(chat, connect(chat));
    for (const [text, count] of [["hello there", 2], ["and again", 4]]) {
      await client.sendMessage(text);
      assert.equal(client.getStatus(), "ready");
      assert.equal(client.getMessages().length, count);
      assert.match(textOf(client.getMessages().at(-1)), new RegExp(`> ${text}`));
      await assertShowsTheChat(client, chat);
    }
    client.dispose();
  });

  test(`${name}: a tool call`, async () => {
    const chat = await createChat();
    const client = clientOf(chat, connect(chat));
    await client.sendMessage("/tool");
    const parts = client.getMessages().flatMap((message) => message.parts);
    const call = parts.find((part) => part.type === "tool-call");
    assert.ok(call, JSON.stringify(parts));
    const stored = (await snapshot(chat)).messages.flatMap((message) => message.parts);
    const kept = stored.find((part) => part.type === "tool-call");
    assert.deepEqual([call.id, call.name, call.arguments], [kept.id, kept.name, kept.arguments]);
    const results = (of) => of.filter((part) => part.type === "tool-result").map((part) => part.content);
    assert.deepEqual(results(parts), results(stored));
    assert.equal(results(parts).length, 1);
    await assertShowsTheChat(client, chat);
    client.dispose();
  });

  test(`${name}: a failure is told, and the next message is answered`, async () => {
    const chat = await createChat();
    const client = clientOf(chat, connect(chat));
    await client.sendMessage("/fail");
    assert.equal(client.getStatus(), "error");
    assert.match(client.getError().message, /hung up half-way/);
    await assertShowsTheChat(client, chat);
    await client.sendMessage("hello");
    assert.equal(client.getStatus(), "ready");
    await assertShowsTheChat(client, chat);
    client.dispose();
  });

  test(`${name}: a chat that is not there`, async () => {
    const { headers } = await createChat();
    const client = clientOf({ id: "no-such-chat" }, connect({ id: "no-such-chat-anywhere", headers }));
    await client.sendMessage("hello").catch(() => {});
    assert.equal(client.getStatus(), "error");
    if (name !== "webSocket") assert.match(client.getError().message, /404/);
    client.dispose();
  });

  test(`${name}: a second client waits for its turn, and neither ends the other`, async () => {
    const chat = await createChat();
    const [one, two] = [clientOf(chat, connect(chat)), clientOf(chat, connect(chat))];
    const first = one.sendMessage("/long 60");
    await eventually(() => one.getMessages().length === 2);
    const second = two.sendMessage("waiting");
    await Promise.all([first, second]);
    assert.deepEqual([one.getStatus(), two.getStatus()], ["ready", "ready"]);
    const { messages } = await snapshot(chat);
    assert.equal(messages.length, 4);
    for (const client of [one, two]) {
      const [question, answer] = shown(client.getMessages());
      const turn = messages.filter(
        (message) => message.id === question[0] || message.metadata.parentId === question[0],
      );
      assert.deepEqual([question, answer], shown(turn));
    }
    one.dispose();
    two.dispose();
  });

  test(`${name}: connections cut in the middle of an answer are resumed`, async () => {
    const chat = await createChat();
    const client = clientOf(chat, connect(chat, process.env[`CUT_URL_${name}`]));
    await client.sendMessage("/long 100");
    assert.equal(client.getStatus(), "ready", client.getError()?.message);
    await assertShowsTheChat(client, chat);
    assert.ok(wordsOf(client.getMessages()[1]) >= 100);
    client.dispose();
  });

  test(`${name}: a run is joined from its start, while it runs and afterwards`, async () => {
    const chat = await createChat();
    const connection = connect(chat);
    const client = clientOf(chat, connection);
    const sent = client.sendMessage("/long 40");
    const runId = await eventually(() => client.getCurrentRunId());
    await eventually(async () => (await snapshot(chat)).activeRuns.includes(runId));
    const all = async () => {
      const chunks = [];
      for await (const chunk of connect(chat).joinRun(runId)) chunks.push(chunk);
      return chunks;
    };
    const during = await all();
    await sent;
    assert.equal(during[0].type, "RUN_STARTED");
    assert.equal(during.at(-1).type, "RUN_FINISHED");
    assert.deepEqual(await all(), during);
    const said = during.map((chunk) => (chunk.type === "TEXT_MESSAGE_CONTENT" ? chunk.delta : ""));
    assert.equal(said.join(""), textOf(client.getMessages()[1]));
    client.dispose();
  });

  test(`${name}: stop`, async () => {
    const chat = await createChat();
    const client = clientOf(chat, connect(chat));
    const sent = client.sendMessage("/long 100");
    await eventually(() => client.getMessages()[1] && textOf(client.getMessages()[1]));
    client.stop();
    await sent;
    assert.equal(client.getStatus(), "ready");
    await eventually(async () => (await snapshot(chat)).activeRuns.length === 0);
    const { messages, runs } = await snapshot(chat);
    if (name === "webSocket") {
      // Its abort frame is a stop.
      assert.deepEqual(Object.values(runs).map((run) => run.status), ["stopped"]);
    } else {
      // It hangs up, which only detaches.
      assert.deepEqual(runs, {});
      assert.ok(wordsOf(messages[1]) >= 100);
    }
    await client.sendMessage("hello");
    assert.equal(client.getStatus(), "ready");
    assert.match(textOf(client.getMessages().at(-1)), /> hello/);
    client.dispose();
  });
}

for (const name of ["fetchServerSentEvents", "fetchHttpStream"]) {
  test(`${name}: a client that comes back in the middle of an answer sees it end`, async () => {
    const chat = await createChat();
    const before = clientOf(chat, adapters[name](chat));
    const sent = before.sendMessage("/long 60");
    await eventually(() => before.getMessages()[1] && textOf(before.getMessages()[1]));
    before.dispose();
    await sent.catch(() => {});
    const after = clientOf(chat, adapters[name](chat), { persistence: true });
    after.attach();
    await eventually(() => after.getMessages().length === 2);
    await eventually(async () => (await snapshot(chat)).activeRuns.length === 0);
    const whole = shown((await snapshot(chat)).messages);
    await eventually(() => JSON.stringify(shown(after.getMessages())) === JSON.stringify(whole));
    after.dispose();
  });
}
