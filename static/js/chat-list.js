/**
 * Brings the list of chats to what the server has, without taking anything out of anybody's hands: what has the focus
 * keeps it, a title that is being written stays, and so does the place to which the list was scrolled. Loaded when
 * the list has changed, or a chat's menu is wanted.
 */

import { byId, h, morph } from "./dom.js";
import { showMenu } from "./chat-menu.js";

const PATIENCE = 15_000;

/** @type {Promise<void> | undefined} */
let asking;
let again = false;

/** @param {string} current the chat on the page @returns {Promise<void>} once the list is as it was after the call */
export function refresh(current) {
  if (asking) again = true;
  asking ??= ask(current).finally(() => {
    asking = undefined;
    if (again) void refresh(current);
    again = false;
  });
  return asking;
}

/** @param {string} current */
async function ask(current) {
  const response = await fetch(`/chats?current=${encodeURIComponent(current)}`, { signal: AbortSignal.timeout(PATIENCE) }).catch(() => undefined);
  if (!response?.ok) return;
  const { body } = new DOMParser().parseFromString(await response.text(), "text/html");
  const list = byId("chat-list");
  // Somebody is writing a title: the list waits until they have.
  if (list.querySelector("input")) return;
  byOwnClock(body);
  const focused = document.activeElement;
  arrange(list, body);
  if (focused instanceof HTMLElement && list.contains(focused)) focused.focus({ preventScroll: true });
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

/**
 * What can be done with one chat.
 * @param {HTMLElement} button in its row @param {{current: string, say?: (text: string) => void}} page
 */
export async function openMenu(button, { current, say }) {
  const row = /** @type {HTMLElement} */ (button.closest("li"));
  const changed = () => refresh(current);
  await showMenu(button, row, { current, changed, say: say ?? ((text) => document.body.append(h("p", { class: "undo", role: "alert" }, text))) });
}
