/** Copying: a link to this chat, a message, a block of code. Loaded when it is first needed. */

import { byId } from "./dom.js";
import { announce } from "./status.js";

/**
 * The markdown of the message, or the code, that the button belongs to.
 * @param {Element} button
 * @param {import("./types.js").Message[]} [messages]
 */
export async function copyText(button, messages = []) {
  const row = button.closest("article");
  const message = messages.find(({ id }) => id === row?.dataset.messageId);
  const source = message?.parts.filter(({ type }) => type === "text").map(({ content }) => content);
  const shown = button.closest("figure")?.querySelector("code") ?? row?.querySelector(".message-body");
  await copy(source?.join("\n\n") || (shown?.textContent ?? ""), button);
  said(button);
}

/** @param {string} text @param {Element} [near]   what may be selected in: a dialog lets nothing else */
export async function copy(text, near = document.body) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // No clipboard on plain http: the old way, through a selection.
    const field = document.createElement("textarea");
    field.value = text;
    near.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
}

/**
 * Makes a link and copies it; where there is no clipboard, shows it in a field, selected.
 * @param {string} shareUrl
 */
export async function copyLink(shareUrl) {
  const button = byId("copy-link");
  const { value: role } = /** @type {HTMLSelectElement} */ (byId("share-role"));
  const link = createLink(shareUrl, role);
  let outcome = "Copied";
  try {
    // Safari opens the clipboard only during the click, so it gets the promise of a link.
    const blob = link.then((url) => new Blob([url], { type: "text/plain" }));
    await navigator.clipboard.write([new ClipboardItem({ "text/plain": blob })]);
  } catch {
    const field = /** @type {HTMLInputElement} */ (byId("share-url"));
    try {
      field.value = await link;
      byId("share-box").showPopover();
      field.select();
      if (!document.execCommand("copy")) outcome = "Copy it here";
    } catch {
      outcome = "Not possible";
    }
  }
  const label = /** @type {Element} */ (button.querySelector("span"));
  label.textContent = outcome;
  announce(outcome);
  said(button, () => (label.textContent = "Copy link"));
}

/** @param {string} shareUrl @param {string} role @returns {Promise<string>} */
async function createLink(shareUrl, role) {
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(shareUrl, { method: "POST", headers, body: JSON.stringify({ role }) });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return new URL((await response.json()).url, location.href).href;
}

/** Shows for a while that it worked. @param {Element} button @param {() => void} [after] */
function said(button, after) {
  button.classList.add("said");
  setTimeout(() => {
    button.classList.remove("said");
    after?.();
  }, 2000);
}
