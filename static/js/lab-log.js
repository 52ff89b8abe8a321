/** Reads a chat's stream as far as it goes, for the transport lab: the log that every transport is held against. */

import { httpError } from "./http.js";
import { createAnswer } from "./lab-count.js";
import { BEGINNING } from "./stream-state.js";

/** @param {string} chat */
export function createLog(chat) {
  let offset = BEGINNING;
  return {
    answer: createAnswer(),

    /** Brings `answer` to the end of the stream. Throws HttpError. */
    async read() {
      for (let upToDate = false; !upToDate; ) {
        const query = new URLSearchParams({ id: chat, offset });
        const response = await fetch(`/api/chat-stream?${query}`, { cache: "no-store" });
        if (!response.ok) throw await httpError(response);
        for (const chunk of await response.json()) this.answer.add(chunk);
        offset = response.headers.get("Stream-Next-Offset") ?? offset;
        upToDate = response.headers.get("Stream-Up-To-Date") === "true";
      }
    },
  };
}
