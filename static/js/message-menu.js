/**
 * The menu of one message: everything that can be done with it, always in this order. There is one, and it is built when
 * it is opened. Loaded with the first.
 */

import { copy } from "./clipboard.js";
import { byId, h, styles } from "./dom.js";
import { agentsOf } from "./room.js";
import { announce } from "./status.js";

const ID = "message-menu";

/**
 * @typedef {object} Desk
 * @property {import("./room.js").Room} room
 * @property {string} readUrl
 * @property {boolean} canChat
 * @property {Record<string, (button: HTMLButtonElement, row: DOMStringMap) => unknown>} actions   of the page
 * @typedef {[label: string, act: () => unknown, possible?: unknown]} Item
 */

/** @param {HTMLButtonElement} opener @param {Desk} desk */
export async function openMenu(opener, desk) {
  await styles("menus");
  document.getElementById(ID)?.remove();
  const row = /** @type {HTMLElement} */ (opener.closest("article"));
  const menu = h("div", { id: ID, class: "menu", role: "menu", popover: "", "aria-label": row.getAttribute("aria-label") ?? "Message" });
  for (const [label, act, possible = true] of itemsOf(opener, row, desk)) {
    if (!possible) continue;
    const item = h("button", { type: "button", role: "menuitem", tabindex: "-1" }, label);
    item.addEventListener("click", async () => {
      menu.hidePopover();
      try {
        await act();
      } catch (error) {
        desk.room.say(/** @type {Error} */ (error).message);
      }
    });
    menu.append(item);
  }
  menu.addEventListener("keydown", (event) => {
    const items = /** @type {HTMLElement[]} */ ([...menu.children]);
    const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    /** @type {Record<string, number>} */
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
    if (event.key === "Tab") menu.hidePopover();
    if (!(event.key in to)) return;
    event.preventDefault();
    event.stopPropagation();
    items.at(to[event.key] % items.length)?.focus();
  });
  menu.addEventListener("toggle", (event) => /** @type {ToggleEvent} */ (event).newState === "closed" && menu.remove());
  byId("chat").append(menu);
  menu.showPopover();
  beside(menu, opener);
  /** @type {HTMLElement} */ (menu.firstElementChild).focus();
}

/** @param {HTMLButtonElement} opener @param {HTMLElement} row @param {Desk} desk @returns {Item[]} */
function itemsOf(opener, row, { room, readUrl, canChat, actions }) {
  const { client } = room;
  const { messageId: id = "", runId = "" } = row.dataset;
  const body = /** @type {HTMLElement} */ (row.querySelector(".message-body"));
  const message = client.messages.find((each) => each.id === id);
  const { parentId, agentId } = message?.metadata ?? {};
  const again = row.querySelector(".regenerate") && parentId;
  const others = again && canChat ? agentsOf(room).filter((each) => each.present && each.id !== agentId) : [];
  const copied = async (/** @type {string} */ text, what = "Copied") => {
    await copy(text, row);
    announce(what);
  };
  const link = new URL(`?at=${encodeURIComponent(id)}`, location.origin + location.pathname).href;
  const act = (/** @type {string} */ name) => actions[name]?.(opener, row.dataset);
  return [
    ["Copy", () => copied(body.innerText)],
    ["Copy as Markdown", async () => copied((await sourceOf(id, room)) || body.innerText)],
    ["Link to this message", () => copied(link, "The link is copied")],
    ["Answer again", () => act("regenerate"), again],
    ...others.map(({ id, name }) => /** @type {Item} */ ([`Let ${name} answer`, () => client.answerAgain(parentId, id)])),
    ["Edit and send again", () => act("revise"), row.querySelector(".revise")],
    ["Fork from here", () => act("fork"), actions.fork],
    ["Raw events", async () => (await import("./raw-events.js")).showEvents(readUrl, { id, runId })],
  ];
}

/** The markdown of a message, wherever in the chat it is. @param {string} id @param {import("./room.js").Room} room */
export async function sourceOf(id, { client }) {
  let message = client.messages.find((each) => each.id === id);
  if (!message) {
    const reply = await fetch(`/api/chats/${location.pathname.split("/").at(-1)}/snapshot`);
    if (reply.ok) message = (await reply.json()).messages.find((/** @type {{id: string}} */ each) => each.id === id);
  }
  return (message?.parts ?? []).flatMap(({ type, content }) => (type === "text" ? content : [])).join("\n\n");
}

/** Below the button, or above it, and always in view. @param {HTMLElement} menu @param {HTMLElement} opener */
function beside(menu, opener) {
  const at = opener.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const below = at.bottom + height + 8 < innerHeight;
  menu.style.left = `${Math.max(8, Math.min(at.left, innerWidth - width - 8))}px`;
  menu.style.top = `${Math.max(8, below ? at.bottom + 4 : at.top - height - 4)}px`;
}
