/**
 * What could not be sent to a chat that is gone, on whatever page its writer is: the words are not lost with the chat.
 * Loaded when there is such a message. Owns its list.
 */

import { h } from "./dom.js";

const GONE = [401, 403, 404, 410];

const list = h("ul", { class: "queue", role: "alert", "aria-label": "Messages that could not be sent" });

/**
 * Says so if the message's chat is no more for who wrote it; in a chat that is there the message itself says what was wrong.
 * @param {import("../types.js").Parcel} parcel @param {import("../outbox.js").Outbox} outbox @param {Element | null} place   the list comes before it
 */
export function tellLost({ id, message, error = "", status = 0 }, outbox, place) {
  if (!GONE.includes(status)) return;
  if (!list.isConnected) place?.before(list);
  const said = message.parts.map(({ content }) => content).join("\n");
  const text = h("span", { class: "queue-text", dir: "auto", title: said }, said);
  const item = h("li", { class: "queue-item" }, h("span", { class: "queue-label" }, `Not sent. ${error}`), text);
  const copy = async () => {
    getSelection()?.selectAllChildren(text);
    await navigator.clipboard?.writeText(said);
  };
  const forget = () => {
    outbox.drop(id);
    item.remove();
    list.hidden = !list.childElementCount;
  };
  item.append(h("span", { class: "queue-buttons" }, button("Copy", copy), button("Discard", forget)));
  list.append(item);
  list.hidden = false;
}

/** @param {string} label @param {() => unknown} act */
function button(label, act) {
  const made = h("button", { class: "text-button", type: "button" }, label);
  made.addEventListener("click", () => void act());
  return made;
}
