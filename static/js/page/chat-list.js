/**
 * Brings the list of chats to what the server has, without taking anything out of anybody's hands: what has the focus
 * keeps it, a title that is being written stays, and so does the place to which the list was scrolled. Loaded when
 * the list has changed.
 */

import { morph } from "./dom.js";

/** @param {HTMLElement} list @param {string} html what it is by now @returns {boolean} whether it is shown */
export function show(list, html) {
  // Somebody is writing a title: the list waits until they have.
  if (list.querySelector("input")) return false;
  const { body } = new DOMParser().parseFromString(html, "text/html");
  byOwnClock(body);
  const focused = document.activeElement;
  arrange(list, body);
  if (focused instanceof HTMLElement && list.contains(focused)) focused.focus({ preventScroll: true });
  return true;
}

/** Keeps every row that stays, wherever it stands by now. @param {HTMLElement} list @param {HTMLElement} fresh */
function arrange(list, fresh) {
  const rows = new Map(Array.from(rowsOf(list), (row) => [row.dataset.chatId, row]));
  const sections = new Map(Array.from(list.children, (section) => [nameOf(section), section]));
  for (const wanted of Array.from(fresh.children)) {
    const section = sections.get(nameOf(wanted)) ?? /** @type {Element} */ (document.importNode(wanted, true));
    sections.delete(nameOf(wanted));
    list.append(section); // the sections in their order; nothing moves if that is so already
    const place = section.querySelector("ul");
    if (!place || !(section instanceof HTMLElement)) continue;
    const heading = wanted.querySelector("summary");
    if (heading) morph(/** @type {Element} */ (section.querySelector("summary")), heading);
    /** @type {Element | null} */
    let next = place.firstElementChild;
    for (const row of rowsOf(wanted)) {
      const known = rows.get(row.dataset.chatId);
      rows.delete(row.dataset.chatId);
      if (known) morph(known, row);
      const shown = known ?? document.importNode(row, true);
      if (shown === next) next = next.nextElementSibling;
      else place.insertBefore(shown, next);
    }
    while (next) {
      const gone = next;
      next = next.nextElementSibling;
      if (!rows.has(/** @type {HTMLElement} */ (gone).dataset.chatId)) gone.remove();
    }
  }
  for (const gone of [...rows.values(), ...sections.values()]) gone.remove();
}

/** @param {Element} root @returns {NodeListOf<HTMLElement>} */
const rowsOf = (root) => root.querySelectorAll("li[data-chat-id]");

/** @param {Element} section */
const nameOf = (section) => section.getAttribute("data-section") ?? "";

/** @param {Element} root */
function byOwnClock(root) {
  for (const time of root.querySelectorAll("time")) {
    const date = new Date(time.dateTime);
    const today = date.toDateString() === new Date().toDateString();
    time.textContent = date.toLocaleString([], today ? { hour: "2-digit", minute: "2-digit" } : { day: "numeric", month: "short" });
  }
}
