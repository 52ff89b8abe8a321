/**
 * The list of chats beside every page: asks for it again when it has changed, and notices when somebody wants something
 * of it. What then has to be done is loaded when it is needed (chat-list.js, chat-menu.js, search.js).
 */

import { byId } from "./dom.js";

/** How long changes that follow one another are waited for. */
const GATHER = 80;
/** How long a page takes until it hears of changes. */
const BEGIN = 1000;
const PATIENCE = 15_000;

/**
 * @param {EventTarget} hub
 * @param {{current?: string, say?: (text: string) => void}} [page]   `current`: the chat on the page
 */
export function watchChats(hub, { current = "", say } = {}) {
  const list = byId("chat-list");
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let waiting;
  let asking = Promise.resolve();

  async function ask() {
    const headers = { "If-None-Match": `"${list.dataset.version}"` };
    const response = await fetch(`/chats?current=${current}`, { headers, signal: AbortSignal.timeout(PATIENCE) });
    if (response.ok) {
      const html = await response.text();
      const shown = (await import("./chat-list.js")).show(list, html);
      if (shown) list.dataset.version = response.headers.get("etag")?.slice(1, -1);
    }
    // The chat on the page was deleted, or taken away, and is back.
    if (document.querySelector('#chat[data-live="gone"]') && list.querySelector("[aria-current]")) location.reload();
  }
  /** One after the other, so that the last answer is the latest list. */
  const refresh = () => (asking = asking.then(ask).catch(() => {}));
  /** @param {number} [gather] */
  const soon = (gather = GATHER) =>
    void (waiting ??= setTimeout(() => {
      waiting = undefined;
      void refresh();
    }, gather));

  hub.addEventListener("mine", async (event) => {
    const { detail } = /** @type {CustomEvent} */ (event);
    if (detail.kind === "chats") soon();
    else if (detail.kind === "me") (await import("./me.js")).showMe(detail);
  });
  // What happened while the page was on its way here, or asleep.
  addEventListener("pageshow", () => soon(BEGIN));
  document.addEventListener("visibilitychange", () => document.hidden || soon());

  const search = async () => (await import("./search.js")).openSearch();
  document.addEventListener("click", async ({ target }) => {
    const button = target instanceof Element ? target.closest("button") : null;
    if (button?.dataset.action === "search") await search();
    else if (button?.dataset.action === "chat-menu") await (await import("./chat-menu.js")).openChatMenu(button, { current, refresh, say });
  });
  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey || event.key.toLowerCase() !== "k") return;
    event.preventDefault();
    void search();
  });
}
