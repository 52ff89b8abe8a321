/**
 * A menu that opens in the message box while something is written. The text keeps the focus, the arrows move
 * in the list, Enter and Tab take what is chosen, Escape closes. What is offered, and when, its source decides.
 */

import { h, styles } from "./dom.js";

/**
 * @typedef {{text: string, label?: string, hint: string, hue?: number, act?: () => void}} Suggestion
 *   `text` is what is written, or `act` done instead
 * @typedef {object} Source
 * @property {string} id
 * @property {string} label
 * @property {(before: string) => string | undefined} query   what is being written, up to the caret; undefined: nothing of ours
 * @property {(query: string) => Suggestion[]} offer
 */

const TRIGGER = 1; // the sign before the query

/** @param {HTMLTextAreaElement} input @param {Source} source */
export function suggest(input, { id, label, query: queryIn, offer }) {
  const form = /** @type {HTMLElement} */ (input.closest("form"));
  const list = h("ul", { id, class: "suggestions", role: "listbox", "aria-label": label, tabindex: "0" });
  list.hidden = true;
  form.prepend(list);
  const styled = styles("menus");
  /** @type {Suggestion[]} */
  let offered = [];
  let chosen = 0;
  /** Where the sign stands whose menu was closed with Escape. */
  let refused = -1;

  /** Where the sign stands, and what is written behind it. */
  function asked() {
    const before = input.value.slice(0, input.selectionStart);
    const query = input.selectionStart === input.selectionEnd ? queryIn(before) : undefined;
    return { query, at: query === undefined ? -1 : before.length - query.length - TRIGGER };
  }

  function look() {
    const { query, at } = asked();
    if (at !== refused) refused = -1;
    offered = query === undefined || at === refused ? [] : offer(query);
    // What is written to its end needs no menu.
    const [{ text, act }, another] = [offered[0] ?? { text: "" }, offered[1]];
    if (!act && !another && text.slice(TRIGGER).toLowerCase() === query?.trimEnd().toLowerCase()) offered = [];
    choose(0);
  }

  /** @param {number} index */
  function choose(index) {
    chosen = (index + offered.length) % (offered.length || 1);
    list.replaceChildren(
      ...offered.map(({ text, label = text, hue, hint }, number) => {
        const option = { id: `${id}-${number}`, role: "option", class: hue !== undefined && `hue-${hue}`, "aria-selected": String(number === chosen) };
        const dot = hue === undefined ? [] : [h("span", { class: "dot", "aria-hidden": "true" })];
        return h("li", option, ...dot, h("span", { class: "name" }, label), h("span", { class: "hint" }, hint));
      }),
    );
    // A field of several lines may not call itself a combobox.
    const state = { "aria-autocomplete": "list", "aria-haspopup": "listbox", "aria-controls": id, "aria-activedescendant": `${id}-${chosen}` };
    for (const [name, value] of Object.entries(state)) {
      if (offered.length) input.setAttribute(name, value);
      else if (!list.hidden) input.removeAttribute(name);
    }
    list.hidden = !offered.length;
    list.children[chosen]?.scrollIntoView({ block: "nearest" });
  }

  /** @param {number} index */
  function take(index) {
    const { text, act } = offered[index];
    const end = input.selectionStart;
    input.setRangeText(act ? "" : `${text} `, asked().at, end, "end");
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.focus();
    act?.();
  }

  /** @type {Record<string, () => void>} */
  const keys = {
    ArrowDown: () => choose(chosen + 1),
    ArrowUp: () => choose(chosen - 1),
    Enter: () => take(chosen),
    Tab: () => take(chosen),
    Escape: () => {
      refused = asked().at;
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
  void styled.then(look);
}
