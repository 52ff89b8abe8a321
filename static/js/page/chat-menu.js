/** The menu of one chat in the list: pin, rename where it stands, archive, fork, see its forks, delete or leave. */

import { openDialog } from "./dialog.js";
import { byId, h, styles } from "./dom.js";
import { sendJson } from "../http.js";
import { showMenu } from "./menu.js";
import { editTitle } from "./rename.js";

/** Seconds for which something can be read that nobody has to answer. */
const SHOWN = 10;

/** @typedef {{current: string, refresh: () => Promise<void>, say?: (text: string) => void}} Place */

/** @param {HTMLElement} button in the chat's row @param {Place} place */
export async function openChatMenu(button, place) {
  const row = /** @type {HTMLElement} */ (button.closest("li"));
  const { chatId = "", pinned, archived, mine } = row.dataset;
  const url = `/api/chats/${chatId}`;
  const title = row.querySelector(".chat-title")?.textContent ?? "";
  const change = (/** @type {object} */ view) => sendJson("PATCH", `${url}/view`, view).then(place.refresh);
  const on = (/** @type {string | undefined} */ mark) => mark !== undefined;
  await showMenu(button, {
    id: "chat-menu",
    label: `Options for ${title}`,
    // On small screens the sidebar is in the top layer itself.
    into: byId("sidebar"),
    say: place.say ?? ((text) => showBar(h("span", {}, text))),
    items: [
      [on(pinned) ? "Unpin" : "Pin", () => change({ pinned: !on(pinned) })],
      ["Rename", () => rename(row, title, (text) => sendJson("PATCH", url, { title: text })).finally(place.refresh)],
      [on(archived) ? "Back into the list" : "Archive", () => change({ archived: !on(archived) })],
      ["Fork", async () => (await import("./fork.js")).forkChat(chatId)],
      ["Show its forks", () => showTree(chatId)],
      ["Delete", () => remove(chatId, title, place), on(mine)],
      ["Leave", () => leave(chatId, place), !on(mine)],
    ],
  });
}

/** @param {HTMLElement} row @param {string} title @param {(text: string) => Promise<unknown>} save */
function rename(row, title, save) {
  const link = /** @type {HTMLElement} */ (row.querySelector("a"));
  return editTitle(link, save, title);
}

/** @param {string} chatId @param {string} title @param {Place} place */
async function remove(chatId, title, place) {
  const { restorable = SHOWN } = await (await sendJson("DELETE", `/api/chats/${chatId}`)).json();
  void place.refresh();
  const undo = h("button", { type: "button", class: "text-button" }, "Undo");
  const bar = await showBar(h("span", {}, `Deleted “${title}”.`), undo, restorable);
  undo.focus();
  undo.addEventListener("click", async () => {
    try {
      await sendJson("POST", `/api/chats/${chatId}/restore`);
      bar.remove();
      if (chatId === place.current) location.reload();
      else await place.refresh();
    } catch (error) {
      bar.replaceChildren(h("span", {}, /** @type {Error} */ (error).message));
    }
  });
}

/** @param {string} chatId @param {Place} place */
async function leave(chatId, place) {
  await sendJson("DELETE", `/api/chats/${chatId}/people/${encodeURIComponent(byId("chat-list").dataset.me ?? "")}`);
  if (chatId === place.current) location.assign("/");
  else await place.refresh();
}

/** The chat that this one came from, and those that came from it. @param {string} chatId */
async function showTree(chatId) {
  const response = await fetch(`/api/chats/${chatId}/forks`);
  const { parent, forks } = response.ok ? await response.json() : { parent: null, forks: [] };
  /** @param {{url: string, title: string | null}[]} chats */
  const list = (chats) => h("ul", { class: "forks" }, ...chats.map(({ url, title }) => h("li", {}, h("a", { href: url }, title ?? "New chat"))));
  await styles("list-menu");
  await openDialog(
    "Forks of this chat",
    h("p", { class: "hint" }, parent ? "Forked from" : "It was forked from no chat that you can see."),
    list(parent ? [parent] : []),
    h("p", { class: "hint" }, forks.length ? "Forked from it" : "No chat that you can see was forked from it."),
    list(forks),
  );
}

/** A line at the end of the list, or over the page if there is no list to be seen, for a while. @param {HTMLElement} text @param {HTMLElement | ""} [button] @param {number} [seconds] */
async function showBar(text, button = "", seconds = SHOWN) {
  await styles("list-menu");
  document.querySelector(".undo")?.remove();
  const bar = h("div", { class: "undo", role: "status" }, text, button);
  const sidebar = byId("sidebar");
  if (sidebar.checkVisibility()) sidebar.querySelector(".sidebar-foot")?.before(bar);
  else document.body.append(bar);
  setTimeout(() => bar.remove(), seconds * 1000);
  return bar;
}
