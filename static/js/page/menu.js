/** A menu that floats beside the button that opened it. There is one, and it is gone once it is closed. */

import { h, styles } from "./dom.js";

/** @typedef {[label: string, act: () => unknown, possible?: unknown]} Item */

/**
 * @param {HTMLElement} opener
 * @param {{id: string, label: string, items: Item[], into: Element, say: (text: string) => void}} options
 *   `into` the menu is put; `say` tells what went wrong
 */
export async function showMenu(opener, { id, label, items, into, say }) {
  await styles("menus");
  document.querySelector(".menu")?.remove();
  const menu = h("div", { id, class: "menu", role: "menu", popover: "", "aria-label": label });
  for (const [text, act, possible = true] of items) {
    if (!possible) continue;
    const item = h("button", { type: "button", role: "menuitem", tabindex: "-1" }, text);
    item.addEventListener("click", async () => {
      menu.hidePopover();
      try {
        await act();
      } catch (error) {
        say(/** @type {Error} */ (error).message);
      }
    });
    menu.append(item);
  }
  menu.addEventListener("keydown", (event) => {
    const choices = /** @type {HTMLElement[]} */ ([...menu.children]);
    const at = choices.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    /** @type {Record<string, number>} */
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
    if (event.key === "Tab") menu.hidePopover();
    if (!(event.key in to)) return;
    event.preventDefault();
    event.stopPropagation();
    choices.at(to[event.key] % choices.length)?.focus();
  });
  menu.addEventListener("toggle", (event) => /** @type {ToggleEvent} */ (event).newState === "closed" && menu.remove());
  into.append(menu);
  menu.showPopover();
  beside(menu, opener);
  /** @type {HTMLElement} */ (menu.firstElementChild).focus();
}

/** Below the button, or above it, and always in view. @param {HTMLElement} menu @param {HTMLElement} opener */
function beside(menu, opener) {
  const at = opener.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const below = at.bottom + height + 8 < innerHeight;
  menu.style.left = `${Math.max(8, Math.min(at.left, innerWidth - width - 8))}px`;
  menu.style.top = `${Math.max(8, below ? at.bottom + 4 : at.top - height - 4)}px`;
}
