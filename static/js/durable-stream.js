/** One JSON stream of a Durable Streams server, followed for ever (follow.js): how it is asked, and what it answers. */

import { follow } from "./follow.js";
import { readBytes } from "./http.js";

/** @import {Dialect, FollowOptions, Page} from "./types.js" */

/** @type {Dialect} */
const DURABLE_STREAMS = {
  query: (query) => query,
  page: readPage,
  events({ type, data }) {
    if (type === "data") return [{ type, items: readItems(data) }];
    return type === "control" ? [{ type, ...readControl(data) }] : [];
  },
};

/** @param {FollowOptions} options */
export const followStream = (options) => follow({ ...options, dialect: DURABLE_STREAMS });

/** @param {string} json @returns {any[]} */
function readItems(json) {
  const value = JSON.parse(json);
  return Array.isArray(value) ? value : [value];
}

/** @param {string} json @returns {Omit<Page, "items">} */
function readControl(json) {
  const { streamNextOffset, streamCursor, upToDate, streamClosed } = JSON.parse(json);
  if (typeof streamNextOffset !== "string") throw new Error("A control event without an offset.");
  const closed = streamClosed === true;
  return { offset: streamNextOffset, cursor: streamCursor, upToDate: closed || upToDate === true, closed };
}

/** @param {Response} response @param {() => void} heard @returns {Promise<Page>} */
async function readPage(response, heard) {
  const header = (/** @type {string} */ name) => response.headers.get(name) ?? undefined;
  const offset = header("stream-next-offset");
  if (offset === undefined && response.status !== 204) throw new Error("Not a stream.");
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of readBytes(response, heard)) text += decoder.decode(bytes, { stream: true });
  const closed = header("stream-closed")?.toLowerCase() === "true";
  // Browsers take headers that were cut off for whole ones with nothing after them; a page is never empty.
  return {
    items: response.status === 204 ? [] : readItems(text + decoder.decode()),
    offset,
    cursor: header("stream-cursor"),
    upToDate: closed || response.status === 204 || header("stream-up-to-date")?.toLowerCase() === "true",
    closed,
  };
}
