/** TanStack's published ChatClient over adapters of a session: everybody hears everything. */

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  clientOf,
  commonCases,
  hasBegun,
  quiet,
  shows,
  snapshotOf,
  stopAll,
  textOf,
  truth,
  wordsOf,
} from "./client-cases.js";
import { eventually } from "./waiting.js";

/** @import {Chat, Subject} from "./client-cases.js" */

/** @param {Subject} subject */
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
    assert.deepEqual(
      second.chunks.map(({ type }) => type),
      ["MESSAGES_SNAPSHOT"],
    );
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
    const after = follow(
      chat,
      { initialOffset: offset, ...(!published && { snapshot }) },
      { initialMessages: snapshot.messages },
    );
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
    assert.deepEqual(
      questions.map((/** @type {any} */ { id }) => id),
      [message.id],
    );
    assert.equal(client.getMessages().filter(({ role }) => role === "user").length, 1);
    client.dispose();
  });
}
