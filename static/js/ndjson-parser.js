/**
 * Cuts bytes into lines of JSON, however they arrive. Owns line ends (LF, CR and CRLF; U+2028 is none) and the last
 * line, which needs none. What a line says is the caller's affair.
 *
 * @typedef {object} NdjsonParser
 * @property {(bytes: Uint8Array) => Iterable<string>} feed   the lines that the bytes complete, without blank ones
 * @property {() => string} rest                               what has come of a line that nothing ended
 */

import { checkSize } from "./event-size.js";

/** @returns {NdjsonParser} */
export function createNdjsonParser() {
  const decoder = new TextDecoder(); // strips one BOM, keeps half characters
  let line = "";

  return {
    *feed(bytes) {
      const lines = decoder.decode(bytes, { stream: true }).split(/[\r\n]/);
      lines[0] = line + lines[0];
      line = lines[lines.length - 1];
      for (let i = 0; i < lines.length; i++) {
        checkSize(lines[i].length);
        if (i < lines.length - 1 && lines[i].trim() !== "") yield lines[i];
      }
    },
    rest: () => (line + decoder.decode()).trim(),
  };
}
