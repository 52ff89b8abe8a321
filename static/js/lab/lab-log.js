/** What a chat's stream says, for the transport lab: the log that every transport is held against. */

import { createAnswer } from "./lab-count.js";
import { readLog } from "../page/read-log.js";

/** @param {string} chat */
export function createLog(chat) {
  /** @type {string | undefined} */
  let reached;
  return {
    answer: createAnswer(),

    /** Brings `answer` to the end of the stream. Throws HttpError. */
    async read() {
      for await (const { items, offset } of readLog(`/api/chat-stream?id=${encodeURIComponent(chat)}`, reached)) {
        for (const chunk of items) this.answer.add(chunk);
        reached = offset;
      }
    },
  };
}
