/** Reads a chat's stream as far as it goes. Loaded where somebody wants to see the log itself. */

import { httpError } from "../http.js";
import { BEGINNING } from "../stream-state.js";

/**
 * @param {string} readUrl @param {string} [offset]
 * @returns {AsyncGenerator<{items: import("../types.js").Chunk[], offset: string}>} page by page. Throws HttpError
 */
export async function* readLog(readUrl, offset = BEGINNING) {
  for (let upToDate = false; !upToDate; ) {
    const url = new URL(readUrl, location.href);
    url.searchParams.set("offset", offset);
    const response = await fetch(url, { cache: "no-store" });
    if (!response.ok) throw await httpError(response);
    offset = response.headers.get("Stream-Next-Offset") ?? offset;
    upToDate = response.headers.get("Stream-Up-To-Date") === "true";
    yield { items: await response.json(), offset };
  }
}
