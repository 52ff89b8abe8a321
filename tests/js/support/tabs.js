/** What tests of a shared connection share: tabs, each with its own adapter, and who holds the lock. */

import { sharedConnection } from "../../../static/js/connection-adapters.js";
import { textOf, userMessage, watchedController } from "./waiting.js";

/** How many locks of this name are held. @param {string} name */
export const held = async (name) =>
  ((await navigator.locks.query()).held ?? []).filter((lock) => lock.name === name).length;

/** @param {string} name @param {any} connection @param {any} [options] */
export function openTabOf(name, connection, options) {
  const shared = sharedConnection(connection, { name, ping: 20, ...options });
  const controller = watchedController();
  const tab = {
    shared,
    controller,
    chunks: /** @type {any[]} */ ([]),
    error: /** @type {any} */ (undefined),
    done: /** @type {Promise<void>} */ (Promise.resolve()),
    get text() {
      return textOf(tab.chunks);
    },
    /** @param {string} runId */
    ended: (runId) =>
      tab.chunks.some(({ type, runId: of }) => of === runId && (type === "RUN_FINISHED" || type === "RUN_ERROR")),
    /** @param {string} runId @param {string} text @param {AbortSignal} [signal] */
    send: (runId, text, signal) =>
      shared.send([userMessage(text, `u-${runId}`)], undefined, signal, { threadId: name, runId }),
    /** As when it is closed. */
    async close() {
      controller.abort();
      await tab.done;
    },
  };
  tab.done = (async () => {
    try {
      for await (const chunk of shared.subscribe(controller.signal)) tab.chunks.push(chunk);
    } catch (error) {
      tab.error = error;
    }
  })();
  return tab;
}

/** @param {ReturnType<typeof openTabOf>[]} tabs */
export const closeAll = (tabs) => Promise.all(tabs.map((tab) => tab.close()));
