/** The menu of one message: everything that can be done with it, always in this order. Loaded with the first. */

import { copy } from "./clipboard.js";
import { byId } from "./dom.js";
import { showMenu } from "./menu.js";
import { agentsOf } from "./room.js";
import { announce } from "./status.js";

/**
 * @typedef {object} Desk
 * @property {import("./room.js").Room} room
 * @property {string} readUrl
 * @property {boolean} canChat
 * @property {Record<string, (button: HTMLButtonElement, row: DOMStringMap) => unknown>} actions   of the page
 */

/** @param {HTMLButtonElement} opener @param {Desk} desk */
export async function openMenu(opener, desk) {
  const row = /** @type {HTMLElement} */ (opener.closest("article"));
  const label = row.getAttribute("aria-label") ?? "Message";
  await showMenu(opener, { id: "message-menu", label, items: itemsOf(opener, row, desk), into: byId("chat"), say: desk.room.say });
}

/** @param {HTMLButtonElement} opener @param {HTMLElement} row @param {Desk} desk @returns {import("./menu.js").Item[]} */
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
    ...others.map(({ id, name }) => /** @type {import("./menu.js").Item} */ ([`Let ${name} answer`, () => client.answerAgain(parentId, id)])),
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
