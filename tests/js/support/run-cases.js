/** TanStack's published ChatClient over adapters with a request, or a frame, per run. */

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
  truth,
  wordsOf,
} from "./client-cases.js";
import { eventually } from "./waiting.js";

/** @import {Chat, Subject} from "./client-cases.js" */

/**
 * @param {Subject & {cut?: (chat: Chat) => any, hydrates?: boolean, stops?: boolean}} subject
 *   `cut`: a connection that is cut in the middle; `hydrates`: it can ask for the chat; `stops`: an abort stops the run
 */
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
    const client = clientOf(chat, connect(chat), {
      initialMessages: messages,
      ...(runId && { initialResumeSnapshot }),
    });
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
      assert.ok(
        own.every((each) => all.includes(each)),
        own.join("\n"),
      );
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
