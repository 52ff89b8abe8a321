/**
 * Decodes text/event-stream bytes, however they are cut (WHATWG HTML §9.2.6).
 * Owns lines and fields. `retry` is ignored: waiting is backoff.js's affair.
 *
 * @typedef {object} SseEvent
 * @property {string} type   "message" unless the event names one
 * @property {string} data   data lines, joined by LF
 * @property {string} id     the last id seen so far
 * @property {boolean} tagged   whether this event brought it
 *
 * @typedef {object} SseParser
 * @property {(bytes: Uint8Array) => Iterable<SseEvent>} feed   the events that the bytes complete
 * @property {() => boolean} unfinished                  whether an event or a line has begun and not ended
 */

import { checkSize } from "./event-size.js";

/** @returns {SseParser} */
export function createSseParser() {
  const decoder = new TextDecoder(); // strips one BOM, keeps half characters
  let line = "";
  let afterCr = false;
  let type = "";
  let id = "";
  let tagged = false;
  let size = 0;
  /** @type {string[]} */
  let data = [];

  /** @param {string} text @returns {SseEvent | undefined} the event that the line ends */
  function endLine(text) {
    if (text === "") {
      const event = data.length > 0 ? { type: type || "message", data: data.join("\n"), id, tagged } : undefined;
      type = "";
      data = [];
      tagged = false;
      size = 0;
      return event;
    }
    const colon = text.indexOf(":");
    if (colon === 0) return undefined;
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(text[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "event") type = value;
    if (field === "data") {
      data.push(value);
      size += value.length + 1;
    }
    if (field === "id" && !value.includes("\0")) {
      id = value;
      tagged = true;
    }
    return undefined;
  }

  return {
    *feed(bytes) {
      let text = decoder.decode(bytes, { stream: true });
      if (text === "") return;
      // A CR ends its line at once; the LF that may follow in the next chunk belongs to it.
      if (afterCr && text[0] === "\n") text = text.slice(1);
      afterCr = text === "" ? false : text.endsWith("\r");
      const lines = text.split(/\r\n|\r|\n/);
      lines[0] = line + lines[0];
      line = lines[lines.length - 1];
      for (let i = 0; i < lines.length; i++) {
        checkSize(size + lines[i].length);
        const event = i < lines.length - 1 && endLine(lines[i]);
        if (event) yield event;
      }
    },
    unfinished: () => line !== "" || data.length > 0,
  };
}
