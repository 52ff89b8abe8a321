/** What keys do on the page of a chat, beside the message box. Loaded with the first of them. */

import { copy } from "./clipboard.js";
import { openDialog } from "./dialog.js";
import { byId, h } from "./dom.js";
import { announce } from "./status.js";

const COMMAND = /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘" : "Ctrl";

/** @type {[string, string][]} */
const KEYS = [
  ["/", "Write a message"],
  ["Enter", "Send it"],
  ["Shift Enter", "Begin a new line"],
  ["↑", "In an empty box: edit what you said last"],
  ["@", "Address somebody"],
  ["/ in the box", "Choose a command"],
  ["Esc", "Stop your answer"],
  ["J K", "The next or previous message; arrows go on from there"],
  [`${COMMAND} Shift C`, "Copy the last answer"],
  [`${COMMAND} Shift O`, "Begin a new chat"],
  [`${COMMAND} K`, "Search your chats"],
  ["?", "This list"],
];

export function showKeys() {
  const rows = KEYS.map(([keys, what]) => h("div", {}, h("dt", {}, ...keys.split(" ").flatMap((key) => [h(/^(in|the|box)$/.test(key) ? "span" : "kbd", {}, key), " "])), h("dd", {}, what)));
  return openDialog("Keys", h("dl", { class: "keys" }, ...rows));
}

/** Goes to the next message, or the one before. @param {1 | -1} step */
function move(step) {
  const rows = /** @type {HTMLElement[]} */ ([...byId("transcript").querySelectorAll(".message")]);
  const { top, bottom } = byId("scroller").getBoundingClientRect();
  const at = rows.findIndex((row) => row === document.activeElement || row.contains(document.activeElement));
  // From elsewhere: what is at the end of the view, or at its beginning.
  const inView = rows.filter((row) => row.getBoundingClientRect().bottom > top && row.getBoundingClientRect().top < bottom);
  const row = at < 0 ? inView.at(step > 0 ? 0 : -1) : rows[at + step];
  row?.focus({ preventScroll: true });
  row?.scrollIntoView({ block: "nearest" });
}

/** The last answer, as Markdown. @param {import("./page-session.js").PageSession} client */
async function copyLast({ view }) {
  const last = view.messages.findLast(({ role }) => role === "assistant");
  if (last) await copy(last.parts.flatMap(({ type, content }) => (type === "text" ? content : [])).join("\n\n"));
  announce(last ? "The last answer is copied" : "There is no answer yet");
}

/** @param {string} key @param {import("./page-session.js").PageSession} client */
export function press(key, client) {
  if (key === "/") document.getElementById("composer-input")?.focus();
  else if (key === "?") void showKeys();
  else if (key === "o") /** @type {HTMLFormElement | null} */ (document.querySelector("form.new-chat"))?.requestSubmit();
  else if (key === "c") void copyLast(client);
  else move(/^(?:j|arrowdown)$/.test(key) ? 1 : -1);
}
