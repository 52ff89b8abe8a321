/** A dialog over the page: one at a time, gone when it is closed, and then the focus is where it was. Loaded with the first. */

import { h, styles } from "./dom.js";

/** @param {string} title @param {...(Node | string)} content */
export async function openDialog(title, ...content) {
  await styles("menus");
  const close = h("button", { class: "icon-button", type: "button", "aria-label": "Close" }, cross());
  const head = h("header", { class: "dialog-head" }, h("h2", { id: "dialog-title" }, title), close);
  const dialog = /** @type {HTMLDialogElement} */ (h("dialog", { class: "dialog", "aria-labelledby": "dialog-title" }, head, h("div", { class: "dialog-body" }, ...content)));
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close()); // beside it
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** The page has one to close the list of chats. */
const cross = () => /** @type {Element} */ (document.querySelector(".sidebar-close .icon")).cloneNode(true);
