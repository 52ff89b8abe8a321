/**
 * Decodes text/event-stream bytes, however they are cut (WHATWG HTML §9.2.6).
 * Owns lines and fields. `retry` is ignored: waiting is backoff.js's affair.
 *
 * @typedef {object} SseEvent
 * @property {string} type   "message" unless the event names one
 * @property {string} data   data lines, joined by LF
 * @property {string} id     the last id seen so far
 */

/** @returns {(bytes: Uint8Array) => SseEvent[]} feed it bytes; it gives the events they complete */
export function createSseParser() {
  const decoder = new TextDecoder(); // strips one BOM, keeps half characters
  let line = "";
  let afterCr = false;
  let type = "";
  let id = "";
  /** @type {string[]} */
  let data = [];

  /** @param {string} text @param {SseEvent[]} events */
  function endLine(text, events) {
    if (text === "") {
      if (data.length > 0) events.push({ type: type || "message", data: data.join("\n"), id });
      type = "";
      data = [];
      return;
    }
    const colon = text.indexOf(":");
    if (colon === 0) return;
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(text[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "data") data.push(value);
    else if (field === "event") type = value;
    else if (field === "id" && !value.includes("\0")) id = value;
  }

  return (bytes) => {
    /** @type {SseEvent[]} */
    const events = [];
    let text = decoder.decode(bytes, { stream: true });
    if (text === "") return events;
    // A CR ends its line at once; the LF that may follow in the next chunk belongs to it.
    if (afterCr && text[0] === "\n") text = text.slice(1);
    afterCr = text === "" ? false : text.endsWith("\r");
    const lines = text.split(/\r\n|\r|\n/);
    lines[0] = line + lines[0];
    line = lines[lines.length - 1];
    for (let i = 0; i < lines.length - 1; i++) endLine(lines[i], events);
    return events;
  };
}
