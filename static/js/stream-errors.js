/**
 * How a stream of chunks fails, apart from what the server says itself (http.js).
 *
 *     Error
 *      ├── StreamReadError              the connection broke, or there was none        ┐ the same request
 *      ├── StreamTruncatedError         it ended within an event                       ┘ may succeed later
 *      ├── StreamReconnectLimitError    it broke again and again without anything new
 *      ├── DurableStreamIncompleteError the server has no more of a run that has not ended
 *      ├── ChunkParseError              an event that is no JSON object
 *      └── EventTooLargeError           (event-size.js)
 */

import { HttpError } from "./http.js";

export class StreamReadError extends Error {
  /** @param {unknown} [cause] @param {string} [sentence] */
  constructor(cause, sentence = "The connection to the server was lost.") {
    super(sentence, { cause });
    this.name = "StreamReadError";
  }
}

export class StreamTruncatedError extends Error {
  constructor() {
    super("The server's answer ended in the middle of an event.");
    this.name = "StreamTruncatedError";
  }
}

export class StreamReconnectLimitError extends Error {
  /** @param {number} attempts   in a row that brought nothing new @param {unknown} [cause] why the last one failed */
  constructor(attempts, cause) {
    super(`The connection was lost, and ${attempts} attempts to go on brought nothing new.`, { cause });
    this.name = "StreamReconnectLimitError";
    this.attempts = attempts;
  }
}

export class DurableStreamIncompleteError extends Error {
  constructor() {
    super("The server has nothing more of this run, and the run has not ended.");
    this.name = "DurableStreamIncompleteError";
  }
}

export class ChunkParseError extends Error {
  /** @param {string} text   what could not be read */
  constructor(text) {
    super("The server sent an event that is no JSON object.");
    this.name = "ChunkParseError";
    this.text = text.slice(0, 1000);
  }
}

/** Whether the same request may succeed later. @param {unknown} error */
export const isPassing = (error) =>
  error instanceof StreamReadError ||
  error instanceof StreamTruncatedError ||
  (error instanceof HttpError && error.passing);
