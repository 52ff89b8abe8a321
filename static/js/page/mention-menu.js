/** The menu of names that opens behind an `@` in the message box. Loaded at the first `@`. */

import { company } from "./room.js";
import { suggest } from "./suggestions.js";

/** @typedef {import("./room.js").Someone} Someone */

const MOST = 8;

/** What stands between an `@` and the caret, if a name may be meant. @param {string} text before the caret */
export function queryIn(text) {
  return text.match(/(?<![\p{L}\p{N}_@/])@([^@\n]{0,40})$/u)?.[1];
}

/** Those whose name, or a word of it, begins so. @param {Someone[]} everybody @param {string} query */
export function matching(everybody, query) {
  const wanted = query.toLowerCase();
  const begins = (/** @type {Someone} */ { name, id, kind }) => [name, ...name.split(/\s+/), kind === "agent" ? id : ""].some((each) => each.toLowerCase().startsWith(wanted));
  return everybody.filter(begins).slice(0, MOST);
}

/** @param {HTMLTextAreaElement} input @param {import("./room.js").Room} room */
export function watchMentions(input, room) {
  const offer = (/** @type {string} */ query) => matching(company(room), query).map(({ name, hue, kind }) => ({ text: `@${name}`, label: name, hint: kind, hue }));
  suggest(input, { id: "mentions", label: "Whom to address", query: queryIn, offer });
}
