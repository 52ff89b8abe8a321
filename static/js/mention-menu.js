/**
 * The menu of names that opens behind an `@` in the message box. A combobox: the text keeps the focus, the arrows move
 * in the list, Enter and Tab take a name, Escape closes. Loaded at the first `@`.
 */

import { h } from "./dom.js";
import { company } from "./room.js";

/** @typedef {import("./room.js").Someone} Someone */

const MOST = 8;
const LIST = "mentions";

/** What stands between an `@` and the caret, if a name may be meant. @param {string} text before the caret */
export function queryIn(text) {
  return text.match(/(?<![\p{L}\p{N}_@/])@([^@\n]{0,40})$/u)?.[1];
}

/** Those whose name, or a word of it, begins so. @param {Someone[]} everybody @param {string} query */
export function matching(everybody, query) {
  const wanted = query.toLowerCase();
  const begins = (/** @type {Someone} */ { name, id, kind }) => [name, ...name.split(/\s+/), kind === "agent" ? id : ""].some((each) => each.toLowerCase().startsWith(wanted));
  return everybody.filter(begins).slice(0, MOST);
}

/** @param {HTMLTextAreaElement} input @param {import("./room.js").Room} room */
export function watchMentions(input, room) {
  const form = /** @type {HTMLElement} */ (input.closest("form"));
  const list = h("ul", { id: LIST, class: "mentions", role: "listbox", "aria-label": "Whom to address" });
  list.hidden = true;
  form.prepend(list);
  /** @type {Someone[]} */
  let offered = [];
  let chosen = 0;
  /** Where the `@` stands whose menu was closed with Escape. */
  let refused = -1;

  function look() {
    const before = input.value.slice(0, input.selectionStart);
    const query = input.selectionStart === input.selectionEnd ? queryIn(before) : undefined;
    const at = query === undefined ? -1 : before.length - query.length - 1;
    if (at !== refused) refused = -1;
    offered = query === undefined || at === refused ? [] : matching(company(room), query);
    // A name that is written to its end needs no menu.
    if (offered.length === 1 && offered[0].name.toLowerCase() === query?.trimEnd().toLowerCase()) offered = [];
    choose(0);
  }

  /** @param {number} index */
  function choose(index) {
    chosen = (index + offered.length) % (offered.length || 1);
    list.replaceChildren(
      ...offered.map(({ name, hue, kind }, number) => {
        const option = { id: `${LIST}-${number}`, role: "option", class: `hue-${hue}`, "aria-selected": String(number === chosen) };
        return h("li", option, h("span", { class: "dot", "aria-hidden": "true" }), h("span", { class: "name" }, name), h("span", { class: "hint" }, kind));
      }),
    );
    list.hidden = !offered.length;
    const state = { role: "combobox", "aria-autocomplete": "list", "aria-expanded": "true", "aria-controls": LIST, "aria-activedescendant": `${LIST}-${chosen}` };
    for (const [name, value] of Object.entries(state)) {
      if (offered.length) input.setAttribute(name, value);
      else input.removeAttribute(name);
    }
    list.children[chosen]?.scrollIntoView({ block: "nearest" });
  }

  /** @param {number} index */
  function take(index) {
    const query = queryIn(input.value.slice(0, input.selectionStart)) ?? "";
    const end = input.selectionStart;
    input.setRangeText(`${offered[index].name} `, end - query.length, end, "end");
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.focus();
  }

  /** @type {Record<string, () => void>} */
  const keys = {
    ArrowDown: () => choose(chosen + 1),
    ArrowUp: () => choose(chosen - 1),
    Enter: () => take(chosen),
    Tab: () => take(chosen),
    Escape: () => {
      refused = input.value.slice(0, input.selectionStart).lastIndexOf("@");
      look();
    },
  };
  // Before the message box and the page hear of them: Enter would send, Escape would stop a run.
  form.addEventListener(
    "keydown",
    (event) => {
      const { key, isComposing, keyCode, shiftKey } = event;
      if (list.hidden || event.target !== input || isComposing || keyCode === 229 || shiftKey || !keys[key]) return;
      event.preventDefault();
      event.stopPropagation();
      keys[key]();
    },
    true,
  );
  input.addEventListener("input", look);
  input.addEventListener("click", look);
  input.addEventListener("keyup", ({ key }) => /^(Arrow(Left|Right)|Home|End)$/.test(key) && look());
  input.addEventListener("blur", () => {
    offered = [];
    choose(0);
  });
  // The text keeps the focus, and on a phone the keyboard.
  list.addEventListener("pointerdown", (event) => event.preventDefault());
  list.addEventListener("click", ({ target }) => {
    const option = /** @type {Element} */ (target).closest("li");
    if (option) take([...list.children].indexOf(option));
  });
  look();
}
