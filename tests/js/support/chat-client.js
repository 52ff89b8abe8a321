/** A chat client against a server that the test speaks for. */

import { ChatClient } from "../../../static/js/chat-client.js";
import { open } from "./chat-server.js";

/** @param {any} [options] */
export const openClient = (options) => open(options, ChatClient);

/** @typedef {ReturnType<typeof openClient>} Chat */

/** A client that has sent `text` as run id-2; its message is id-1. @param {any} [options] */
export async function asked({ text = "Hi", ...options } = {}) {
  const chat = openClient(options);
  await chat.live();
  const done = chat.client.sendMessage(text);
  await chat.world.settle();
  return { ...chat, chat, done, runId: chat.server.posts.at(-1).runId };
}

/** @param {Chat} chat @param {...any} events */
export async function say({ server, world }, ...events) {
  server.stream.append(...events);
  await world.settle();
}

/** @param {Chat} chat @param {string} kind @returns {any[]} */
export const told = ({ events }, kind) => events.filter(({ type }) => type === kind).map(({ detail }) => detail);
