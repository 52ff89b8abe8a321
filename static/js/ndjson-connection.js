/** A run per POST, answered with a line of JSON per chunk, for where event streams do not get through. */

import { DONE, parseEnvelope } from "./chunks.js";
import { createFetchConnection } from "./fetch-connection.js";
import { createNdjsonParser } from "./ndjson-parser.js";
import { ChunkParseError, StreamTruncatedError } from "./stream-errors.js";

/** @import {FetchOptionsSource, UrlSource} from "./types.js" */

/**
 * The server may tag its chunks (`{id, chunk}`); then a lost connection is resumed.
 *
 * @param {UrlSource} url @param {FetchOptionsSource} [options] functions are asked at every request
 */
export const fetchHttpStream = (url, options = {}) => createFetchConnection(url, options, readEvents);

/** @type {import("./fetch-connection.js").ReadEvents} */
async function* readEvents(bytes) {
  const parser = createNdjsonParser();
  for await (const part of bytes) {
    for (const line of parser.feed(part)) {
      if (line.trim() === DONE) {
        yield "done";
        return;
      }
      yield parseEnvelope(line);
    }
  }
  const rest = parser.rest();
  if (rest === DONE) yield "done";
  else if (rest) yield readLast(rest);
}

/** Half an object is never JSON, so what can be read is whole. @param {string} line */
function readLast(line) {
  try {
    return parseEnvelope(line);
  } catch (error) {
    throw error instanceof ChunkParseError ? new StreamTruncatedError() : error;
  }
}
