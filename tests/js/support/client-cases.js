/**
 * TanStack's published ChatClient over a connection adapter: the same cases for each adapter, against any server with
 * our routes. The server answers `/long N` with N words, `/tool` with a tool call, `/fail` with a failure.
 */

import assert from "node:assert/strict";
import { test } from "node:test";

import { ChatClient } from "@tanstack/ai-client";

/**
 * @typedef {{id: string, base: string, headers: Record<string, string>}} Chat
 * @typedef {object} Subject
 * @property {string} name
 * @property {() => Promise<Chat>} createChat
 * @property {(chat: Chat, options?: any) => any} connect
 * @property {boolean} [published]   it is not ours: what only ours does is left out
 */

/** @param {() => unknown} check @param {number} [seconds] */
export async function eventually(check, seconds = 15) {
  const until = Date.now() + 1000 * seconds;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (Date.now() > until) throw new Error(`not within ${seconds} s: ${check}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** @param {any} message @returns {string} */
const textOf = ({ parts }) => parts.map((/** @type {any} */ { type, content }) => (type === "text" ? content : "")).join("");

/** What a reader is shown: who said what under which id, and with which tools. @param {any[]} messages */
const shown = (messages) =>
  messages.map((message) => [
    message.id,
    message.role,
    textOf(message),
    message.parts
      .filter((/** @type {any} */ { type }) => type.startsWith("tool-"))
      .map((/** @type {any} */ { type, id, arguments: text, content }) => [type, id, text, content]),
  ]);

/** @param {Chat} chat @returns {Promise<any>} */
async function snapshotOf({ base, id, headers }) {
  const reply = await fetch(`${base}/api/chats/${id}/snapshot`, { headers });
  return await reply.json();
}

/** Ours has no `name` on messages of agents that the client shows, so only what is `shown` counts. @param {Chat} chat */
const truth = async (chat) => shown((await snapshotOf(chat)).messages);

/** @param {Chat} chat */
const quiet = async (chat) => (await snapshotOf(chat)).activeRuns.length === 0;

/** How many words the first answer has. @param {Chat} chat */
const wordsOf = async (chat) => textOf((await snapshotOf(chat)).messages[1]).split(/\s+/).length;

/** Ends whatever runs in the chat. It takes what it takes, so no test depends on when a long answer is over. @param {Chat} chat */
async function stopAll({ base, id, headers }) {
  await fetch(`${base}/api/chat/stop`, { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify({ id }) });
}

/** @param {Chat} chat @param {any} connection @param {any} [options] */
function clientOf(chat, connection, options) {
  /** @type {any[]} */
  const chunks = [];
  const client = new ChatClient({ connection, threadId: chat.id, onChunk: (chunk) => chunks.push(chunk), ...options });
  return Object.assign(client, { chunks, shown: () => shown(client.getMessages()) });
}

/** @param {ReturnType<typeof clientOf>} client @param {Chat} chat */
const shows = (client, chat) =>
  eventually(async () => JSON.stringify(client.shown()) === JSON.stringify(await truth(chat))).catch(async (error) => {
    assert.deepEqual(client.shown(), await truth(chat));
    throw error;
  });

/** @param {ReturnType<typeof clientOf>} client @param {number} [index] */
const hasBegun = (client, index = -1) => eventually(() => {
  const message = client.getMessages().at(index);
  return message?.role === "assistant" && textOf(message).length > 10;
});

/** What every adapter must do. @param {Subject} subject */
export function commonCases({ name, createChat, connect }) {
  test(`${name}: two answers in turn, as the server has them`, async () => {
    const chat = await createChat();
    const client = clientOf(chat, connect(chat));
    for (const text of ["hello there", "and again"]) {
      await client.sendMessage(text);
      assert.equal(client.getStatus(), "ready", client.getError()?.message);
      await shows(client, chat);
    }
    assert.equal(client.getMessages().length, 4);
    client.dispose();
  });

  test(`${name}: a tool call, its arguments and its result`, async () => {
    const chat = await createChat();
    const client = clientOf(chat, connect(chat));
    await client.sendMessage("/tool");
    await shows(client, chat);
    const kinds = client.getMessages().flatMap(({ parts }) => parts.map(({ type }) => type));
    assert.ok(kinds.includes("tool-call") && kinds.includes("tool-result"), String(kinds));
    client.dispose();
  });

  test(`${name}: a failure is told, nobody hangs, and the next message is answered`, async () => {
    const chat = await createChat();
    const client = clientOf(chat, connect(chat));
    await client.sendMessage("/fail");
    assert.equal(client.getStatus(), "error");
    assert.ok(client.getError()?.message);
    assert.equal(client.getIsLoading(), false);
    await client.sendMessage("hello");
    assert.equal(client.getStatus(), "ready", client.getError()?.message);
    client.dispose();
  });
}

/** What adapters of a session do: everybody hears everything. @param {Subject} subject */
export function sessionCases(subject) {
  const { name, createChat, connect, published } = subject;

  /** A client that follows the chat. @param {Chat} chat @param {any} [options] @param {any} [clientOptions] */
  function follow(chat, options, clientOptions) {
    const client = clientOf(chat, connect(chat, options), clientOptions);
    client.subscribe();
    return client;
  }

  commonCases(subject);

  test(`${name}: a snapshot on subscribe`, async () => {
    const chat = await createChat();
    const first = follow(chat);
    await first.sendMessage("hello");
    await first.sendMessage("/tool");
    first.dispose();
    const second = follow(chat);
    // The published snapshot has text only.
    if (published) await eventually(() => second.getMessages().length === first.getMessages().length);
    else await shows(second, chat);
    assert.deepEqual(second.chunks.map(({ type }) => type), ["MESSAGES_SNAPSHOT"]);
    second.dispose();
  });

  test(`${name}: two clients converge on ids, order and text`, async () => {
    const chat = await createChat();
    const [ana, ben] = [follow(chat), follow(chat)];
    await eventually(() => ana.getConnectionStatus() === "connected" && ben.getConnectionStatus() === "connected");
    await ana.sendMessage("one two three");
    await eventually(async () => (await quiet(chat)) && ben.getMessages().length === 2);
    await shows(ben, chat);
    await ben.sendMessage("/long 30");
    await eventually(async () => (await quiet(chat)) && ana.getMessages().length === 4);
    for (const client of [ana, ben]) await shows(client, chat);
    ana.dispose();
    ben.dispose();
  });

  test(`${name}: a late joiner sees the answer being written, and its end`, async () => {
    const chat = await createChat();
    const ana = follow(chat);
    const sent = ana.sendMessage("/long 5000");
    await hasBegun(ana);
    const ben = follow(chat);
    await hasBegun(ben);
    if (!published) assert.equal(ben.getSessionGenerating(), true);
    await stopAll(chat);
    await sent;
    await eventually(() => quiet(chat));
    await shows(ben, chat);
    await eventually(() => !ben.getSessionGenerating());
    ana.dispose();
    ben.dispose();
  });

  test(`${name}: a snapshot and its offset: nothing is replayed`, async () => {
    const chat = await createChat();
    const ana = follow(chat);
    await ana.sendMessage("/long 50");
    await eventually(() => quiet(chat));
    const { messages, offset } = await snapshotOf(chat);
    const ben = follow(chat, { initialOffset: offset }, { initialMessages: messages });
    await ana.sendMessage("hello");
    await eventually(() => ben.chunks.some(({ type }) => type === "RUN_FINISHED"));
    await shows(ben, chat);
    const ids = messages.map((/** @type {any} */ { id }) => id);
    assert.ok(ben.chunks.every(({ type, messageId }) => type !== "MESSAGES_SNAPSHOT" && !ids.includes(messageId)));
    ana.dispose();
    ben.dispose();
  });

  test(`${name}: a refresh in the middle of an answer`, async () => {
    const chat = await createChat();
    const before = follow(chat);
    void before.sendMessage("/long 5000");
    await hasBegun(before);
    before.dispose();
    const { offset, ...snapshot } = await snapshotOf(chat);
    assert.equal(snapshot.activeRuns.length, 1);
    const after = follow(chat, { initialOffset: offset, ...(!published && { snapshot }) }, { initialMessages: snapshot.messages });
    const seen = textOf(snapshot.messages[1]).length;
    await eventually(() => textOf(after.getMessages()[1]).length > seen);
    if (!published) assert.equal(after.getSessionGenerating(), true);
    await stopAll(chat);
    await eventually(() => quiet(chat));
    await shows(after, chat);
    after.dispose();
  });

  test(`${name}: concurrent senders: everybody has every message, and the same text`, async () => {
    const chat = await createChat();
    const [observer, ...senders] = [0, 1, 2, 3].map(() => follow(chat));
    await eventually(() => [observer, ...senders].every((client) => client.getConnectionStatus() === "connected"));
    await Promise.all(senders.map((client, n) => client.sendMessage(`/long ${20 + n}`)));
    await eventually(async () => (await quiet(chat)) && (await snapshotOf(chat)).messages.length === 6);
    await shows(observer, chat);
    // What a client sends it shows at once, before what others sent earlier: only its order differs.
    const sorted = (/** @type {any[]} */ messages) => messages.map((each) => JSON.stringify(each)).sort();
    const all = sorted(await truth(chat));
    for (const client of senders) {
      await eventually(() => JSON.stringify(sorted(client.shown())) === JSON.stringify(all));
      client.dispose();
    }
    observer.dispose();
  });

  test(`${name}: a refused message throws the server's sentence`, async () => {
    const chat = await createChat();
    const client = follow(chat);
    await client.sendMessage(/** @type {any} */ ({ content: "x".repeat(300_000) }));
    assert.equal(client.getStatus(), "error");
    assert.match(client.getError()?.message ?? "", /larger than 256 KiB/);
    client.dispose();
  });

  if (published) return;

  test(`${name}: a refresh anywhere in a tool's arguments loses nothing`, async () => {
    const chat = await createChat();
    const ana = follow(chat);
    const sent = ana.sendMessage("/tool");
    /** @type {ReturnType<typeof clientOf>[]} */
    const joined = [];
    while (ana.getIsLoading() && joined.length < 12) {
      const { offset, ...snapshot } = await snapshotOf(chat);
      joined.push(follow(chat, { initialOffset: offset, snapshot }));
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await sent;
    await eventually(() => quiet(chat));
    assert.ok(joined.length > 1);
    for (const client of joined) {
      await shows(client, chat);
      client.dispose();
    }
    ana.dispose();
  });

  test(`${name}: stop stops, for everybody`, async () => {
    const chat = await createChat();
    const [ana, ben] = [follow(chat), follow(chat)];
    const sent = ana.sendMessage("/long 5000");
    await hasBegun(ana);
    ana.stop();
    await sent;
    await eventually(() => quiet(chat));
    await eventually(() => ben.getMessages().length === 2 && !ben.getSessionGenerating());
    assert.ok(textOf(ben.getMessages()[1]).length > 10);
    await shows(ben, chat);
    await ana.sendMessage("hello");
    assert.equal(ana.getStatus(), "ready", ana.getError()?.message);
    ana.dispose();
    ben.dispose();
  });

  test(`${name}: who leaves stops nothing`, async () => {
    const chat = await createChat();
    const client = follow(chat);
    void client.sendMessage("/long 5000");
    await hasBegun(client);
    client.dispose();
    const words = await wordsOf(chat);
    await eventually(async () => (await wordsOf(chat)) > words + 10);
    await stopAll(chat);
  });

  test(`${name}: a picture survives, for the sender and for who comes later`, async () => {
    const chat = await createChat();
    const image = { type: "image", source: { type: "url", value: "https://example.org/a.png" } };
    const ana = follow(chat);
    await ana.sendMessage(/** @type {any} */ ({ content: [{ type: "text", content: "Look" }, image] }));
    await shows(ana, chat);
    const ben = follow(chat);
    await shows(ben, chat);
    for (const client of [ana, ben]) {
      const [, picture] = client.getMessages()[0].parts;
      assert.deepEqual([picture.type, /** @type {any} */ (picture).source.value], ["image", image.source.value]);
      client.dispose();
    }
  });

  test(`${name}: reload and the same POST again never double the message`, async () => {
    const chat = await createChat();
    const client = follow(chat);
    await client.sendMessage("hello");
    const connection = connect(chat);
    const message = client.getMessages()[0];
    const run = { threadId: chat.id, runId: `again-${Date.now()}` };
    for (const _ of [1, 2]) await connection.send([message], undefined, undefined, run);
    await eventually(() => quiet(chat));
    await client.reload();
    await eventually(() => quiet(chat));
    const questions = (await snapshotOf(chat)).messages.filter((/** @type {any} */ { role }) => role === "user");
    assert.deepEqual(questions.map((/** @type {any} */ { id }) => id), [message.id]);
    assert.equal(client.getMessages().filter(({ role }) => role === "user").length, 1);
    client.dispose();
  });
}

/** What adapters with a request or a frame per run do. @param {Subject & {cut?: (chat: Chat) => any, hydrates?: boolean, stops?: boolean}} subject */
export function runCases(subject) {
  const { name, createChat, connect, cut, hydrates, stops } = subject;

  /** A client as it is after a page has been loaded. @param {Chat} chat */
  async function load(chat) {
    if (hydrates) {
      const client = clientOf(chat, connect(chat), { persistence: true });
      client.attach();
      return client;
    }
    const { messages, activeRuns } = await snapshotOf(chat);
    const runId = activeRuns.at(-1);
    const initialResumeSnapshot = runId && { resumeState: { threadId: chat.id, runId } };
    const client = clientOf(chat, connect(chat), { initialMessages: messages, ...(runId && { initialResumeSnapshot }) });
    client.attach();
    return client;
  }

  commonCases(subject);

  test(`${name}: a page that is loaded has what the server has; two clients converge`, async () => {
    const chat = await createChat();
    const ana = clientOf(chat, connect(chat));
    await ana.sendMessage("hello");
    await ana.sendMessage("/tool");
    const ben = await load(chat);
    await shows(ben, chat);
    await ben.sendMessage("and again");
    await shows(ben, chat);
    ana.dispose();
    ben.dispose();
  });

  test(`${name}: a late joiner, and a refresh in the middle of an answer`, async () => {
    const chat = await createChat();
    const ana = clientOf(chat, connect(chat));
    const sent = ana.sendMessage("/long 5000");
    await hasBegun(ana);
    const ben = await load(chat);
    await eventually(() => ben.getIsLoading());
    await hasBegun(ben);
    ana.dispose();
    await sent;
    const again = await load(chat);
    await hasBegun(again);
    await stopAll(chat);
    await eventually(() => quiet(chat));
    for (const client of [ben, again]) {
      await shows(client, chat);
      client.dispose();
    }
  });

  test(`${name}: connections that are cut in the middle: the rest, and nothing twice`, { skip: !cut }, async () => {
    const chat = await createChat();
    const client = clientOf(chat, /** @type {NonNullable<typeof cut>} */ (cut)(chat));
    await client.sendMessage("/long 100");
    assert.equal(client.getStatus(), "ready", client.getError()?.message);
    await shows(client, chat);
    const seen = client.chunks.map((chunk) => JSON.stringify(chunk));
    const words = seen.filter((text) => text.includes("word42"));
    assert.ok(words.length <= 1, String(words));
    client.dispose();
  });

  test(`${name}: concurrent senders, each answered`, async () => {
    const chat = await createChat();
    const clients = [1, 2, 3].map(() => clientOf(chat, connect(chat)));
    await Promise.all(clients.map((client, n) => client.sendMessage(`/long ${20 + n}`)));
    await eventually(() => quiet(chat));
    const all = (await truth(chat)).map((each) => JSON.stringify(each));
    assert.equal(all.length, 6);
    for (const client of clients) {
      const own = client.shown().map((each) => JSON.stringify(each));
      assert.equal(own.length, 2);
      assert.ok(own.every((each) => all.includes(each)), own.join("\n"));
      client.dispose();
    }
  });

  test(`${name}: stop`, async () => {
    const chat = await createChat();
    const client = clientOf(chat, connect(chat));
    const sent = client.sendMessage("/long 5000");
    await hasBegun(client);
    client.stop();
    await sent;
    assert.equal(client.getStatus(), "ready");
    if (!stops) {
      // To hang up only detaches.
      const words = await wordsOf(chat);
      await eventually(async () => (await wordsOf(chat)) > words + 10);
      await stopAll(chat);
    }
    await eventually(() => quiet(chat));
    assert.ok((await wordsOf(chat)) < 5000);
    await client.sendMessage("hello");
    assert.equal(client.getStatus(), "ready");
    client.dispose();
  });
}
