/** How large one event of a stream may be. A server that never ends one must not fill the memory. */

export const MAX_EVENT = 1024 * 1024;

export class EventTooLargeError extends Error {
  constructor() {
    super("The server sent an event of more than 1 MiB.");
    this.name = "EventTooLargeError";
    this.limit = MAX_EVENT;
  }
}

/** @param {number} size   of what has come of the event so far, in characters */
export function checkSize(size) {
  if (size > MAX_EVENT) throw new EventTooLargeError();
}
