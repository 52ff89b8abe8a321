/** Search in all chats: a dialog with a field, and what was found under it. Loaded when somebody searches. */

import { h, styles } from "./dom.js";

const PAUSE = 150;
const PATIENCE = 15_000;
const LOOK_AGAIN = 1500;

/** @typedef {{chatId: string, title: string, url: string, messageId: string | null, name: string, at: number | null, snippet: {text: string, match: boolean}[]}} Result */

/** @type {HTMLDialogElement | undefined} */
let dialog;

export async function openSearch() {
  await styles("search");
  dialog ??= build();
  if (!dialog.open) dialog.showModal();
  dialog.querySelector("input")?.select();
}

function build() {
  const field = /** @type {HTMLInputElement} */ (
    h("input", { type: "search", role: "combobox", "aria-label": "Search in all chats", "aria-expanded": "true", "aria-controls": "search-results", "aria-autocomplete": "list", placeholder: "Search in all chats", autocomplete: "off", spellcheck: "false", enterkeyhint: "search" })
  );
  const list = h("ul", { id: "search-results", role: "listbox", "aria-label": "Results" });
  const state = h("p", { class: "hint", role: "status" }, "Titles, and what was said.");
  const close = h("button", { type: "button", class: "text-button" }, "Close");
  const box = /** @type {HTMLDialogElement} */ (
    h("dialog", { class: "search", "aria-label": "Search" }, h("div", { class: "search-head" }, field, close), state, list)
  );
  document.body.append(box);

  let asked = "";
  let selected = 0;
  /** @type {AbortController | undefined} */
  let asking;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let waiting;

  const options = () => /** @type {HTMLElement[]} */ (Array.from(list.children));

  /** @param {number} index */
  function select(index) {
    selected = index;
    options().forEach((option, at) => option.setAttribute("aria-selected", String(at === index)));
    const option = options()[index];
    field.setAttribute("aria-activedescendant", option?.id ?? "");
    option?.scrollIntoView({ block: "nearest" });
  }

  async function ask() {
    const query = field.value.trim();
    asking?.abort();
    if (!query) {
      asked = "";
      list.replaceChildren();
      state.textContent = "Titles, and what was said.";
      return;
    }
    asking = new AbortController();
    const { signal } = asking;
    try {
      const response = await fetch(`/api/search?q=${encodeURIComponent(query)}`, { signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)]) });
      if (!response.ok) throw new Error(String(response.status));
      const { results, complete } = await response.json();
      if (signal.aborted) return;
      const same = asked === query;
      asked = query;
      list.replaceChildren(...results.map(row));
      select(same ? Math.min(selected, results.length - 1) : 0);
      const told = results.length ? `${results.length} found.` : "Nothing was found.";
      state.textContent = complete ? told : `${told} Older chats are still being looked through…`;
      if (!complete) waiting = setTimeout(ask, LOOK_AGAIN);
    } catch {
      if (!signal.aborted) state.textContent = "The search did not work. Please try again.";
    }
  }

  field.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(ask, PAUSE);
  });
  field.addEventListener("keydown", (event) => {
    const { length } = options();
    if (event.isComposing) return;
    if (event.key === "Escape") {
      event.preventDefault(); // it would empty the field first
      box.close();
    } else if (event.key === "Enter") {
      event.preventDefault();
      options()[selected]?.querySelector("a")?.click();
    } else if (length && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      select((selected + (event.key === "ArrowDown" ? 1 : length - 1)) % length);
    }
  });
  close.addEventListener("click", () => box.close());
  box.addEventListener("click", (event) => {
    if (event.target === box) box.close();
    const link = /** @type {Element} */ (event.target).closest("a");
    if (link && !event.ctrlKey && !event.metaKey && jump(link)) {
      event.preventDefault();
      box.close();
    }
  });
  box.addEventListener("close", () => clearTimeout(waiting));
  return box;
}

/** @param {Result} result @param {number} index */
function row({ title, url, messageId, name, at, snippet }, index) {
  const marked = snippet.map(({ text, match }) => (match ? h("mark", {}, text) : text));
  const link = h("a", { href: url, tabindex: "-1" });
  if (messageId) {
    const when = at ? new Date(at).toLocaleDateString([], { day: "numeric", month: "short", year: "numeric" }) : "";
    link.append(h("span", { class: "found-in" }, h("bdi", {}, title), ` · ${[name, when].filter(Boolean).join(", ")}`), h("span", { class: "found", dir: "auto" }, ...marked));
  } else link.append(h("span", { class: "found-in" }, "Chat"), h("span", { class: "found", dir: "auto" }, ...marked));
  return h("li", { id: `found-${index}`, role: "option", "aria-selected": "false" }, link);
}

/** Scrolls to a message that is on this page. @param {HTMLAnchorElement} link @returns {boolean} whether it is */
function jump(link) {
  const { pathname, hash } = new URL(link.href);
  if (pathname !== location.pathname) return false;
  const id = decodeURIComponent(hash.slice(1));
  const message = id && document.querySelector(`article[data-message-id="${CSS.escape(id)}"]`);
  if (!(message instanceof HTMLElement)) return false;
  message.scrollIntoView({ block: "center" });
  message.tabIndex = -1;
  message.focus({ preventScroll: true });
  return true;
}
