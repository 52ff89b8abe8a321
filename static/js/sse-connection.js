/** A run per POST, answered with server-sent events: what TanStack calls its default. */

import { DONE, parseChunk } from "./chunks.js";
import { createFetchConnection } from "./fetch-connection.js";
import { createSseParser } from "./sse-parser.js";
import { StreamTruncatedError } from "./stream-errors.js";

/** @import {FetchOptionsSource, UrlSource} from "./types.js" */

/**
 * The server may tag its events (`id:`); then a lost connection is resumed.
 *
 * @param {UrlSource} url @param {FetchOptionsSource} [options] functions are asked at every request
 */
export const fetchServerSentEvents = (url, options = {}) => createFetchConnection(url, options, readEvents);

/** @type {import("./fetch-connection.js").ReadEvents} */
async function* readEvents(bytes) {
  const parser = createSseParser();
  for await (const part of bytes) {
    for (const { data, id, tagged } of parser.feed(part)) {
      if (data === DONE) {
        yield "done";
        return;
      }
      if (data) yield { chunk: parseChunk(data), id: tagged ? id : undefined };
    }
  }
  if (parser.unfinished()) throw new StreamTruncatedError();
}
