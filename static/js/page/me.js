/**
 * Who this person is: a dialog for their name and colour, and for a link that makes another device theirs. Loaded when
 * it is asked for, on any page with a sidebar.
 *
 * Event on `document`: `me` {name, hue}, when they are somebody else to look at from now on.
 */

import { h, styles } from "./dom.js";
import { sendJson } from "../http.js";
import { initials } from "./rows.js";

const HUES = 24;
const URL_OF_ME = "/api/me";

/** @typedef {{id: string, name: string, hue: number, guest: boolean, proxied: boolean}} Me   `proxied`: told elsewhere */

/** @param {string} method @param {string} url @param {object} body */
const ask = async (method, url, body) => (await sendJson(method, url, body)).json();

/** Tells the page who one is from now on. @param {{name: string, hue?: number}} me */
export function showMe({ name, hue }) {
  for (const place of document.querySelectorAll(".whoami")) {
    place.className = `whoami hue-${hue}`;
    const [avatar, words] = place.children;
    avatar.textContent = initials(name);
    /** @type {Element} */ (words.querySelector("b")).textContent = name;
  }
  document.dispatchEvent(new CustomEvent("me", { detail: { name, hue } }));
}

export async function openMe() {
  const styled = styles("people");
  const response = await fetch(URL_OF_ME);
  if (!response.ok) return;
  /** @type {Me} */
  const me = await response.json();
  await styled;
  document.getElementById("me")?.remove();
  const dialog = /** @type {HTMLDialogElement} */ (h("dialog", { id: "me", class: "me", "aria-labelledby": "me-title" }, form(me), ...(me.proxied ? [] : [devices()])));
  dialog.addEventListener("close", () => dialog.remove());
  // A click on what is behind it.
  dialog.addEventListener("click", ({ target }) => (target === dialog || /** @type {Element} */ (target).matches("[data-close]")) && dialog.close());
  dialog.addEventListener("saved", () => dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  /** @type {HTMLInputElement | null} */ (dialog.querySelector("input[name=name]"))?.select();
}

/** @param {Me} me */
function form({ name, hue, guest, proxied }) {
  const field = /** @type {HTMLInputElement} */ (h("input", { name: "name", value: name, maxlength: "40", required: "", autocomplete: "nickname", spellcheck: "false" }));
  const preview = h("span", { class: "avatar avatar-large", "aria-hidden": "true" }, initials(name));
  const swatches = Array.from({ length: HUES }, (_, number) => {
    const radio = h("input", { type: "radio", name: "hue", value: String(number), "aria-label": `Colour ${number + 1}`, checked: number === hue && "" });
    return h("span", { class: `swatch hue-${number}` }, radio);
  });
  const error = h("p", { class: "me-error", role: "alert" });
  const element = /** @type {HTMLFormElement} */ (
    h("form", { class: `me-form hue-${hue}` },
      h("h2", { id: "me-title" }, preview, "You"),
      proxied ? h("p", { class: "hint" }, `You are ${name}. Your name is set where you sign in.`) : h("label", {}, "Name", field),
      ...(guest && !proxied ? [h("p", { class: "hint" }, "This name was made up for you; to others you are a guest until you choose one.")] : []),
      h("fieldset", {}, h("legend", {}, "Colour"), h("span", { class: "swatches" }, ...swatches)),
      error,
      h("p", { class: "me-buttons" }, h("button", { class: "primary-button", type: "submit" }, "Save"), h("button", { class: "quiet-button", type: "button", "data-close": "" }, "Cancel")),
    )
  );
  const chosen = () => Number(new FormData(element).get("hue"));
  element.addEventListener("input", () => {
    element.className = `me-form hue-${chosen()}`;
    preview.textContent = initials(field.value);
  });
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      showMe(await ask("PATCH", URL_OF_ME, { ...(!proxied && { name: field.value }), hue: chosen() }));
      element.dispatchEvent(new Event("saved", { bubbles: true }));
    } catch (refused) {
      error.textContent = /** @type {Error} */ (refused).message;
    }
  });
  return element;
}

function devices() {
  const button = /** @type {HTMLButtonElement} */ (h("button", { class: "quiet-button", type: "button" }, "Use on another device"));
  const place = h("section", { class: "me-device" }, button, h("p", { class: "hint" }, "A link that makes a phone or another browser you, with the same chats."));
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const { url, qr, seconds } = await ask("POST", `${URL_OF_ME}/device-link`, {});
      const shown = linkShown(url, qr, seconds);
      place.parentElement?.replaceChildren(shown);
      shown.querySelector("input")?.focus();
    } catch (refused) {
      button.disabled = false;
      place.append(h("p", { class: "me-error", role: "alert" }, /** @type {Error} */ (refused).message));
    }
  });
  return place;
}

/** @param {string} url @param {string} qr @param {number} seconds */
function linkShown(url, qr, seconds) {
  const field = /** @type {HTMLInputElement} */ (h("input", { value: url, readonly: "", spellcheck: "false" }));
  field.addEventListener("focus", () => field.select());
  const left = h("p", { class: "hint" });
  const ends = Date.now() + seconds * 1000;
  const count = () => {
    const rest = Math.ceil((ends - Date.now()) / 1000);
    const clock = `${Math.floor(rest / 60)}:${String(rest % 60).padStart(2, "0")}`;
    left.textContent = rest > 0 ? `Good once, for ${clock}. Show it to nobody: whoever opens it is you.` : "This link has expired.";
    if (rest > 0) setTimeout(() => left.isConnected && count(), 1000);
  };
  count();
  return h("section", { class: "me-form" },
    h("h2", { id: "me-title" }, "Use on another device"),
    h("img", { class: "me-qr", src: qr, alt: "The link as a QR code", width: "200", height: "200" }),
    h("label", {}, "Scan this, or open the link there", field),
    left,
    h("p", { class: "me-buttons" }, h("button", { class: "quiet-button", type: "button", "data-close": "" }, "Done")),
  );
}
