/**
 * Reads JSON that may still be on its way: any text gives the value of its longest readable beginning, or
 * undefined. `webapp/chat/partial_json.py` reads the same and says more.
 */

const MAX_DEPTH = 64;
const SPACE = /[ \t\n\r]*/y;
// Surrogates count only in pairs: half of one is half an escape.
const STRING =
  /"((?:[^"\\\x00-\x1f]+|\\["\\/bfnrt]|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*)/y;
const SCALAR = /true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;

/** The value `text` begins to spell. @param {string} text @returns {any} */
export const parsePartial = (text) => read(text).value;

/** The value `text` spells completely. @param {string} text @returns {any} */
export function parseWhole(text) {
  const { value, whole } = read(text);
  return whole ? value : undefined;
}

/** @param {string} text */
function read(text) {
  let at = 0;
  /** Whether the value read last had its end. */
  let ended = false;

  /** @param {RegExp} pattern */
  const match = (pattern) => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found) at = pattern.lastIndex;
    return found;
  };

  /** Step over white space, and over `character` if it comes next. @param {string} character */
  const step = (character) => {
    match(SPACE);
    const there = text[at] === character;
    if (there) at++;
    return there;
  };

  /** @returns {string | undefined} */
  const string = () => {
    const found = match(STRING);
    ended = text[at] === '"';
    if (found && ended) at++;
    return found ? JSON.parse(`"${found[1]}"`) : undefined;
  };

  /** The entries of an array or object. @param {string} end @param {number} depth @returns {[any, any][]} */
  const entries = (end, depth) => {
    /** @type {[any, any][]} */
    const read = [];
    ended = step(end);
    while (!ended) {
      match(SPACE);
      const key = end === "}" ? string() : read.length;
      if (end === "}" && !(ended && step(":"))) {
        ended = false;
        break;
      }
      const item = value(depth);
      if (item !== undefined) read.push([key, item]);
      if (!ended) break;
      ended = step(end);
      if (!ended && !step(",")) break;
    }
    return read;
  };

  /** @param {number} depth @returns {any} */
  const value = (depth) => {
    ended = false;
    match(SPACE);
    if (text[at] === '"') return string();
    if (depth < MAX_DEPTH && step("[")) return entries("]", depth + 1).map(([, item]) => item);
    // Not by assignment: a key may be "__proto__".
    if (depth < MAX_DEPTH && step("{")) return Object.fromEntries(entries("}", depth + 1));
    const found = match(SCALAR);
    ended = found !== null;
    return found ? JSON.parse(found[0]) : undefined;
  };

  const result = value(0);
  step("");
  return { value: result, whole: ended && at === text.length };
}
