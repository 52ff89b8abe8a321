/** Copying: a link to this chat, a message, a block of code. */

import { byId } from "./dom.js";

/** @param {string | Promise<string>} text */
async function copy(text) {
  // Safari allows the clipboard only within the click, so it is given the promise.
  const item = new ClipboardItem({ "text/plain": Promise.resolve(text).then((value) => new Blob([value], { type: "text/plain" })) });
  await navigator.clipboard.write([item]);
}

/** @param {Element} button @param {string} text */
export async function copyText(button, text) {
  try {
    await copy(text);
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "visually-hidden";
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  said(button);
}

/** Makes a link and copies it; where there is no clipboard, shows it selected. @param {string} shareUrl */
export async function copyLink(shareUrl) {
  const button = byId("copy-link");
  const text = /** @type {HTMLElement} */ (button.querySelector("span"));
  const { value: role } = /** @type {HTMLSelectElement} */ (byId("share-role"));
  const link = createLink(shareUrl, role);
  try {
    await copy(link);
    text.textContent = "Copied";
  } catch {
    try {
      const field = /** @type {HTMLInputElement} */ (byId("share-url"));
      field.value = await link;
      byId("share-box").showPopover();
      field.select();
      text.textContent = document.execCommand("copy") ? "Copied" : "Copy link";
    } catch {
      text.textContent = "No link made";
    }
  }
  byId("announce-polite").textContent = text.textContent;
  said(button, () => (text.textContent = "Copy link"));
}

/** @param {string} shareUrl @param {string} role @returns {Promise<string>} */
async function createLink(shareUrl, role) {
  const response = await fetch(shareUrl, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ role }),
  });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return new URL((await response.json()).url, location.href).href;
}

/** @param {Element} button @param {() => void} [after] */
function said(button, after) {
  button.classList.add("said");
  setTimeout(() => {
    button.classList.remove("said");
    after?.();
  }, 2000);
}
