/** The menu of one chat in the list: pin, rename where it stands, archive, see its forks, delete, leave. */

import { byId, h } from "./dom.js";
import { createId, sendJson } from "./http.js";
import { editTitle } from "./rename.js";

/** @typedef {{current: string, refresh: () => Promise<void>, say?: (text: string) => void}} Place */

const fetchClient = /** @type {typeof fetch} */ ((input, init) => fetch(input, init));

/** @param {string} method @param {string} url @param {object} [body] */
const ask = (method, url, body = {}) => sendJson(method, url, body, { fetchClient });

/** @param {HTMLElement} button in the chat's row @param {Place} place */
export async function showMenu(button, place) {
  const row = /** @type {HTMLElement} */ (button.closest("li"));
  await styles();
  document.getElementById("chat-menu")?.remove();
  const { chatId = "", pinned, archived, mine } = row.dataset;
  const url = `/api/chats/${chatId}`;
  const title = /** @type {HTMLElement} */ (row.querySelector(".chat-title"));
  const view = (/** @type {object} */ change) => ask("PATCH", `${url}/view`, change).then(place.refresh);
  const on = (/** @type {string | undefined} */ mark) => mark !== undefined;

  /** @type {[string, () => unknown][]} */
  const deeds = [
    [on(pinned) ? "Unpin" : "Pin", () => view({ pinned: !on(pinned) })],
    ["Rename", () => rename(row, title, (text) => ask("PATCH", url, { title: text })).finally(place.refresh)],
    [on(archived) ? "Back into the list" : "Archive", () => view({ archived: !on(archived) })],
    ["Fork from the end", () => fork(chatId)],
    ["Forks of this chat", () => showTree(button, chatId)],
    on(mine)
      ? ["Delete", () => remove(chatId, title.textContent ?? "", place)]
      : ["Leave", () => leave(chatId, place)],
  ];
  const items = deeds.map(([text, act]) => {
    const item = h("button", { type: "button", role: "menuitem", tabindex: "-1" }, text);
    item.addEventListener("click", () => {
      menu.hidePopover();
      button.focus();
      Promise.resolve(act()).catch(({ message }) => (place.say ?? note)(message));
    });
    return item;
  });
  const menu = h("div", { id: "chat-menu", class: "chat-menu", role: "menu", popover: "auto", "aria-label": `Options for ${title.textContent}` }, ...items);
  popUp(menu, button);
  items[0].focus();
  menu.addEventListener("keydown", (event) => {
    const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    /** @type {Record<string, number>} */
    const to = { ArrowDown: at + 1, ArrowUp: at - 1 + items.length, Home: 0, End: items.length - 1 };
    if (event.key === "Tab") menu.hidePopover();
    if (!(event.key in to)) return;
    event.preventDefault();
    items[to[event.key] % items.length].focus();
  });
}

/** Shows something that floats beside the button. @param {HTMLElement} box @param {HTMLElement} button */
function popUp(box, button) {
  // Within the sidebar, which on small screens is in the top layer itself.
  byId("sidebar").append(box);
  box.showPopover();
  const { top, bottom, right } = button.getBoundingClientRect();
  const room = innerHeight - bottom - 8;
  box.style.top = `${room < box.offsetHeight ? Math.max(8, top - box.offsetHeight - 4) : bottom + 4}px`;
  box.style.left = `${Math.max(8, Math.min(right - box.offsetWidth + 96, innerWidth - box.offsetWidth - 8))}px`;
  box.addEventListener("toggle", (event) => {
    if (/** @type {ToggleEvent} */ (event).newState !== "closed") return;
    if (box.contains(document.activeElement)) button.focus();
    box.remove();
  });
}

/** @param {HTMLElement} row @param {HTMLElement} title @param {(text: string) => Promise<unknown>} save */
function rename(row, title, save) {
  const link = /** @type {HTMLElement} */ (row.querySelector("a"));
  return editTitle(link, save, title.textContent ?? "");
}

/** @param {string} chatId */
async function fork(chatId) {
  const { forkChat } = await import("./fork.js");
  await forkChat(chatId);
}

/** @param {string} chatId @param {string} title @param {Place} place */
async function remove(chatId, title, place) {
  const { restorable = 10 } = await (await ask("DELETE", `/api/chats/${chatId}`)).json();
  void place.refresh();
  const undo = h("button", { type: "button", class: "text-button" }, "Undo");
  const bar = h("div", { class: "undo", role: "status" }, h("span", {}, `Deleted “${title}”.`), undo);
  document.body.append(bar);
  const timer = setTimeout(() => bar.remove(), restorable * 1000);
  undo.focus();
  undo.addEventListener("click", async () => {
    clearTimeout(timer);
    bar.remove();
    try {
      await ask("POST", `/api/chats/${chatId}/restore`);
      if (chatId === place.current) location.reload();
      else await place.refresh();
    } catch (error) {
      (place.say ?? note)(/** @type {Error} */ (error).message);
    }
  });
}

/** Says something where the page has no place for it. @param {string} text */
function note(text) {
  const bar = h("div", { class: "undo", role: "alert" }, h("span", {}, text));
  document.body.append(bar);
  setTimeout(() => bar.remove(), 10_000);
}

/** @param {string} chatId @param {Place} place */
async function leave(chatId, place) {
  await ask("DELETE", `/api/chats/${chatId}/people/${encodeURIComponent(byId("chat-list").dataset.me ?? "")}`);
  if (chatId === place.current) location.assign("/");
  else await place.refresh();
}

/** The chats that this one came from, and those that came from it. @param {HTMLElement} button @param {string} chatId */
async function showTree(button, chatId) {
  const { parent, forks } = await (await fetch(`/api/chats/${chatId}/forks`)).json();
  const link = (/** @type {{url: string, title: string | null}} */ { url, title }) => h("a", { href: url }, title ?? "New chat");
  const parts = [h("p", { class: "hint" }, parent ? "Forked from" : "This chat was not forked from one you can see.")];
  if (parent) parts.push(h("ul", {}, h("li", {}, link(parent))));
  parts.push(h("p", { class: "hint" }, forks.length ? "Its forks" : "It has no forks that you can see."));
  if (forks.length) parts.push(h("ul", {}, ...forks.map((/** @type {any} */ each) => h("li", {}, link(each)))));
  popUp(h("div", { class: "chat-menu fork-tree", popover: "auto", role: "dialog", "aria-label": "Forks of this chat", id: createId() }, ...parts), button);
}

/** What only menus need looks of. */
function styles() {
  const href = new URL("../css/list-menu.css", import.meta.url).href;
  if (document.querySelector(`link[href="${href}"]`)) return undefined;
  const link = h("link", { rel: "stylesheet", href });
  document.head.append(link);
  return new Promise((resolve) => (link.onload = link.onerror = resolve));
}
