/** Forks a chat and goes to the fork. */

import { createId, persist, sendJson } from "../http.js";
import { browserEnvironment } from "../follow.js";

/**
 * @param {string} chatId
 * @param {{messageId?: string}} [from] after which message; without one at the end
 */
export async function forkChat(chatId, from = {}) {
  // With an id of its own it is the same fork, however often the request has to be made.
  const body = { ...from, id: createId() };
  const reply = await persist(
    (signal) => sendJson("POST", `/api/chats/${chatId}/fork`, body, { signal }),
    { env: browserEnvironment(), signal: new AbortController().signal, nudges: new EventTarget(), connected: () => true },
  );
  const { url } = await /** @type {Response} */ (reply).json();
  location.assign(url);
}
