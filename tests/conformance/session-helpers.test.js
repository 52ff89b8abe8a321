// TanStack's published ChatClient with the published durable transport, against an app made with our helpers: no
// page and no route of ours. test_session_helpers.py starts the apps whose addresses are in APPS.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import {
  durableStreamConnection,
  materializeSnapshotFromDurableStream,
} from "@durable-streams/tanstack-ai-transport";
import { ChatClient, fetchHttpStream, fetchServerSentEvents } from "@tanstack/ai-client";

import { shown, textOf } from "../js/support/client-cases.js";
import { eventually } from "../js/support/waiting.js";

const APPS = JSON.parse(process.env.APPS);

const sendUrl = (app, chat) => `${app}/api/chat?id=${chat}`;
const readUrl = (app, chat) => `${app}/api/chat-stream?id=${chat}`;

/** A client that follows the chat, with everything to be closed when the test ends. */
function join(t, app, chat, { initialOffset, initialMessages } = {}) {
  const connection = durableStreamConnection({
    sendUrl: sendUrl(app, chat),
    readUrl: readUrl(app, chat),
    initialOffset,
  });
  const client = new ChatClient({ connection, initialMessages, threadId: chat });
  client.subscribe();
  t.after(() => client.dispose());
  return client;
}

const snapshot = async (app, chat) => await (await fetch(`${app}/api/chats?id=${chat}`)).json();

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** Everyone shows what the app itself says the conversation is, with nothing being written. */
async function converged(app, chat, clients, count) {
  await eventually(async () => {
    const now = await snapshot(app, chat);
    return (
      now.messages.length === count &&
      now.activeRuns.length === 0 &&
      clients.every((client) => same(shown(client.getMessages()), shown(now.messages)))
    );
  });
}

/** Some of the answer is there, on the client's screen if not in the app's own snapshot. */
const begun = ({ messages }, client) =>
  textOf(messages[1] ?? { parts: [] }).length > 20 || textOf(client.getMessages()[1] ?? { parts: [] }).length > 20;

for (const [name, app] of Object.entries(APPS)) {
  test(`${name}: two clients and a late one see the same`, async (t) => {
    const chat = randomUUID();
    const [ana, ben] = [join(t, app, chat), join(t, app, chat)];
    await ana.sendMessage("hello there");
    await converged(app, chat, [ana, ben], 2);
    await ben.sendMessage("and again");
    await converged(app, chat, [ana, ben, join(t, app, chat)], 4);
  });

  test(`${name}: people who send at the same time`, async (t) => {
    const chat = randomUUID();
    const clients = [join(t, app, chat), join(t, app, chat), join(t, app, chat)];
    await Promise.all(clients.map((client, number) => client.sendMessage(`from ${number}`)));
    const { messages } = await eventually(async () => {
      const now = await snapshot(app, chat);
      return now.messages.length === 6 && now.activeRuns.length === 0 && now;
    });
    assert.equal(new Set(messages.map((message) => message.id)).size, 6);
    for (const text of ["from 0", "from 1", "from 2"]) {
      assert.equal(messages.filter((message) => textOf(message) === text).length, 1);
    }
    await converged(app, chat, [join(t, app, chat)], 6);
  });

  test(`${name}: a refresh goes on from the offset of its page`, async (t) => {
    const chat = randomUUID();
    const before = join(t, app, chat);
    await before.sendMessage("first");
    await converged(app, chat, [before], 2);
    const page = await eventually(async () => {
      const now = await snapshot(app, chat);
      return now.messages.length === 2 && now;
    });
    before.dispose();
    const after = join(t, app, chat, { initialOffset: page.offset, initialMessages: page.messages });
    await after.sendMessage("second");
    await converged(app, chat, [after], 4);
  });

  test(`${name}: a refresh in the middle of an answer`, async (t) => {
    const chat = randomUUID();
    const before = join(t, app, chat);
    const sending = before.sendMessage("word ".repeat(60).trim());
    const page = await eventually(async () => {
      const now = await snapshot(app, chat);
      return begun(now, before) && now;
    });
    before.dispose();
    const after = join(t, app, chat, { initialOffset: page.offset, initialMessages: page.messages });
    await converged(app, chat, [after], 2);
    await sending.catch(() => {});
  });

  test(`${name}: the published fold reads the same text from the same offset`, async (t) => {
    const chat = randomUUID();
    const client = join(t, app, chat);
    await client.sendMessage("hello");
    await converged(app, chat, [client], 2);
    const ours = await eventually(async () => {
      const now = await snapshot(app, chat);
      return now.messages.length === 2 && now;
    });
    const theirs = await materializeSnapshotFromDurableStream({ readUrl: readUrl(app, chat) });
    assert.deepEqual(shown(theirs.messages), shown(ours.messages));
    assert.equal(theirs.offset, ours.offset);
  });

  test(`${name}: what is refused is said`, async () => {
    const connection = durableStreamConnection({
      sendUrl: `${app}/api/chat?id=c`,
      readUrl: `${app}/api/chat-stream?id=c`,
    });
    await assert.rejects(connection.send("nonsense"), Error);
  });
}

test("an image survives", async (t) => {
  const app = APPS.plain_asgi;
  const chat = randomUUID();
  const client = join(t, app, chat);
  const image = { type: "image", source: { type: "url", value: "https://example.org/a.png" } };
  await client.sendMessage({ content: [{ type: "text", content: "look" }, image] });
  const { messages } = await eventually(async () => {
    const now = await snapshot(app, chat);
    return now.messages.length === 2 && now;
  });
  assert.deepEqual(messages[0].parts.map((part) => part.type), ["text", "image"]);
  assert.deepEqual(messages[0].parts[1].source, image.source);
});

for (const [name, connect] of Object.entries({
  sse: fetchServerSentEvents,
  ndjson: fetchHttpStream,
})) {
  test(`the answer as the response: ${name}`, async (t) => {
    const client = new ChatClient({ connection: connect(`${APPS.plain_asgi}/api/${name}`) });
    t.after(() => client.dispose());
    await client.sendMessage("hello there");
    assert.equal(client.getStatus(), "ready");
    assert.deepEqual(client.getMessages().map(textOf), ["hello there", "You said: hello there "]);
  });
}
