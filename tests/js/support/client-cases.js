/**
 * TanStack's published ChatClient over a connection adapter, against any server with our routes: what every adapter
 * must do. session-cases.js and run-cases.js have the rest. The server answers `/long N` with N words, `/tool` with a
 * tool call, `/fail` with a failure.
 */

import assert from "node:assert/strict";
import { test } from "node:test";

import { ChatClient } from "@tanstack/ai-client";

import { eventually } from "./waiting.js";

/**
 * @typedef {{id: string, base: string, headers: Record<string, string>}} Chat
 * @typedef {object} Subject
 * @property {string} name
 * @property {() => Promise<Chat>} createChat
 * @property {(chat: Chat, options?: any) => any} connect
 * @property {boolean} [published]   it is not ours: what only ours does is left out
 */

/** @param {any} message @returns {string} */
export const textOf = ({ parts }) =>
  parts.map((/** @type {any} */ { type, content }) => (type === "text" ? content : "")).join("");

/** What a reader is shown: who said what under which id, and with which tools. @param {any[]} messages */
export const shown = (messages) =>
  messages.map((message) => [
    message.id,
    message.role,
    textOf(message),
    message.parts
      .filter((/** @type {any} */ { type }) => type.startsWith("tool-"))
      .map((/** @type {any} */ { type, id, arguments: text, content }) => [type, id, text, content]),
  ]);

/** @param {Chat} chat @returns {Promise<any>} */
export async function snapshotOf({ base, id, headers }) {
  const reply = await fetch(`${base}/api/chats/${id}/snapshot`, { headers });
  return await reply.json();
}

/** @param {Chat} chat */
export const truth = async (chat) => shown((await snapshotOf(chat)).messages);

/** @param {Chat} chat */
export const quiet = async (chat) => (await snapshotOf(chat)).activeRuns.length === 0;

/** How many words the first answer has. @param {Chat} chat */
export const wordsOf = async (chat) => textOf((await snapshotOf(chat)).messages[1]).split(/\s+/).length;

/** Ends whatever runs in the chat, so that no test depends on when a long answer is over. @param {Chat} chat */
export async function stopAll({ base, id, headers }) {
  await fetch(`${base}/api/chat/stop`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify({ id }),
  });
}

/** @param {Chat} chat @param {any} connection @param {any} [options] */
export function clientOf(chat, connection, options) {
  /** @type {any[]} */
  const chunks = [];
  const client = new ChatClient({ connection, threadId: chat.id, onChunk: (chunk) => chunks.push(chunk), ...options });
  return Object.assign(client, { chunks, shown: () => shown(client.getMessages()) });
}

/** @param {ReturnType<typeof clientOf>} client @param {Chat} chat */
export const shows = (client, chat) =>
  eventually(async () => JSON.stringify(client.shown()) === JSON.stringify(await truth(chat))).catch(async (error) => {
    assert.deepEqual(client.shown(), await truth(chat));
    throw error;
  });

/** @param {ReturnType<typeof clientOf>} client @param {number} [index] */
export const hasBegun = (client, index = -1) =>
  eventually(() => {
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
