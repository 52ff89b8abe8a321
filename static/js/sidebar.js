/**
 * The list of chats beside every page: notices that it has changed, or that somebody wants something of it. What then
 * has to be done is loaded when it is needed (chat-list.js, search.js).
 */

/** How long changes that follow one another are waited for. */
const GATHER = 80;

const list = () => import("./chat-list.js");

/**
 * @param {EventTarget} hub
 * @param {{current?: string, say?: (text: string) => void}} [page]   `current`: the chat on the page
 */
export function watchChats(hub, { current = "", say } = {}) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let waiting;
  const refresh = async () => {
    waiting = undefined;
    await (await list()).refresh(current);
  };
  hub.addEventListener("mine", async (event) => {
    const { detail } = /** @type {CustomEvent} */ (event);
    if (detail.kind === "chats") waiting ??= setTimeout(refresh, GATHER);
    else if (detail.kind === "me") (await import("./me.js")).showMe(detail);
  });
  const search = async () => (await import("./search.js")).openSearch();
  document.addEventListener("click", async ({ target }) => {
    const button = target instanceof Element ? target.closest("button") : null;
    if (button?.dataset.action === "search") await search();
    else if (button?.dataset.action === "chat-menu") await (await list()).openMenu(button, { current, say });
  });
  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey || event.key.toLowerCase() !== "k") return;
    event.preventDefault();
    void search();
  });
  // What happened while the page was on its way here, or asleep.
  addEventListener("pageshow", ({ persisted }) => persisted && refresh());
}
