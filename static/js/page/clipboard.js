/** Copying a message or a block of code. Loaded when it is first needed. */

/**
 * The markdown of the message, or the code, that the button belongs to.
 * @param {Element} button
 * @param {import("../types.js").Message[]} [messages]
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

/** Shows for a while that it worked. @param {Element} button */
function said(button) {
  button.classList.add("said");
  setTimeout(() => button.classList.remove("said"), 2000);
}
