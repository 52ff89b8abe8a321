/**
 * Sharing a chat: the dialog, which the server renders, and the copying of links. Loaded when somebody wants to share.
 * Owns what its buttons do and the sentence that says what a visitor will see. A link's token is in the answer that
 * made it and nowhere else: no address that is ever asked for has it but the link's own.
 */

import { byId, styles } from "./dom.js";
import { sendJson } from "../http.js";

/** @typedef {{role: string, expiresIn?: number, fromMessage?: string, frozen?: boolean}} Offer */
/** @typedef {{url: string, qr?: string}} Link */

/** @type {Record<string, string>} */
const DEEDS = {
  view: "and cannot write",
  chat: "and can write",
  approve: "can write, and decides what agents may do",
  manage: "can write and decide, and may share or delete the chat",
};
const GOOD_NEWS = 2000;

/** @type {HTMLDialogElement} */
let dialog;
/** The link that stands for what is chosen, once it is made. @type {Promise<Link> | undefined} */
let made;

/** Opens the dialog. @param {string} [fromMessage] what is to be shared begins with it */
export async function openShare(fromMessage) {
  const styled = styles("share");
  dialog?.remove();
  dialog = /** @type {HTMLDialogElement} */ (document.adoptNode(await fragment("dialog")));
  document.body.append(dialog);
  await styled;
  made = undefined;
  const offer = form();
  if (fromMessage) /** @type {HTMLSelectElement} */ (offer.elements.namedItem("fromMessage")).value = fromMessage;
  preview();
  offer.addEventListener("submit", (event) => {
    event.preventDefault();
    void attempt(copyOffer);
  });
  dialog.addEventListener("change", ({ target }) => changed(/** @type {HTMLSelectElement} */ (target)));
  dialog.addEventListener("click", ({ target }) => pressed(/** @type {HTMLElement} */ (target)));
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
  byId("copy-link").focus();
}

/** Makes a link to take part, and copies it, at one press of `button`. @param {HTMLButtonElement} button @param {string} shares */
export async function copyLink(button, shares) {
  const link = ask("POST", shares, { role: "chat", qr: true });
  try {
    await toClipboard(link);
  } catch {
    await openShare();
    made = link;
    return attempt(copyOffer);
  }
  const words = /** @type {Text} */ (button.lastChild);
  const before = words.data;
  words.data = byId("announce-polite").textContent = "Copied";
  setTimeout(() => (words.data = before), GOOD_NEWS);
}

const form = () => /** @type {HTMLFormElement} */ (byId("share-offer"));
const api = () => dialog.dataset.api ?? "";

/** @returns {Offer & {qr: true}} */
function offered() {
  const { role, expiresIn, fromMessage, frozen } = /** @type {any} */ (Object.fromEntries(new FormData(form())));
  return { role, qr: true, frozen: frozen === "1", ...(expiresIn && { expiresIn: Number(expiresIn) }), ...(fromMessage && { fromMessage }) };
}

/** The link as it is offered: made once, however it is handed on. @returns {Promise<Link>} */
function link() {
  made ??= ask("POST", `${api()}/shares`, offered()).catch((error) => {
    made = undefined;
    throw error;
  });
  return made;
}

async function copyOffer() {
  const button = byId("copy-link");
  const making = link();
  let outcome = "Copied";
  try {
    await toClipboard(making);
    showLink(await making);
  } catch {
    const field = showLink(await making);
    field.select();
    if (!document.execCommand("copy")) outcome = "Copy it here";
  }
  const label = /** @type {Element} */ (button.querySelector("span"));
  label.textContent = outcome;
  say(outcome);
  setTimeout(() => (label.textContent = "Copy link"), GOOD_NEWS);
  await refresh();
}

/** @param {Link} link */
function showLink({ url, qr }) {
  const field = /** @type {HTMLInputElement} */ (byId("share-url"));
  field.value = new URL(url, location.href).href;
  const picture = /** @type {HTMLImageElement} */ (byId("share-qr"));
  if (qr) picture.src = qr;
  byId("share-made").hidden = false;
  return field;
}

/** Safari opens the clipboard only during the click, so it gets the promise of a link. @param {Promise<Link>} making */
async function toClipboard(making) {
  const blob = making.then(({ url }) => new Blob([new URL(url, location.href).href], { type: "text/plain" }));
  blob.catch(() => {});
  await navigator.clipboard.write([new ClipboardItem({ "text/plain": blob })]);
}

/** @param {HTMLSelectElement} select */
function changed(select) {
  const person = /** @type {HTMLElement | null} */ (select.closest("[data-person]"));
  if (person) {
    void attempt(() => change("PATCH", `people/${person.dataset.person}`, { role: select.value }, "Changed"));
    return;
  }
  const [role, from, frozen] = ["share-role", "share-from", "share-frozen"].map((id) => /** @type {HTMLSelectElement} */ (byId(id)));
  // What does not go together gives way to what was chosen last.
  if (select === frozen && frozen.value) role.value = "view";
  if (select === role && role.value !== "view") frozen.value = "";
  if (select === role && role.value === "manage") from.value = "";
  if (select === from && from.value && role.value === "manage") role.value = "chat";
  made = undefined;
  byId("share-made").hidden = byId("share-qr").hidden = true;
  preview();
}

/** @param {HTMLElement} target */
function pressed(target) {
  const button = /** @type {HTMLElement | null} */ (target.closest("[data-share]"));
  const { person, link: id } = /** @type {HTMLElement | null} */ (target.closest("li"))?.dataset ?? {};
  if (target === dialog) dialog.close();
  else if (button?.dataset.share === "close") dialog.close();
  else if (button?.dataset.share === "qr") void attempt(showCode);
  else if (button?.dataset.share === "remove") void attempt(() => change("DELETE", `people/${person}`, undefined, "Removed"));
  else if (button?.dataset.share === "revoke") void attempt(() => change("DELETE", `shares/${id}`, undefined, "Revoked"));
}

async function showCode() {
  showLink(await link());
  byId("share-qr").hidden = false;
  await refresh();
}

/** @param {string} method @param {string} path @param {object | undefined} body @param {string} outcome */
async function change(method, path, body, outcome) {
  await ask(method, `${api()}/${path}`, body);
  await refresh();
  say(outcome);
}

function preview() {
  const { role, expiresIn, fromMessage, frozen } = offered();
  const [from, lasts] = ["share-from", "share-lasts"].map((id) => /** @type {HTMLSelectElement} */ (byId(id)).selectedOptions[0].text);
  const what = fromMessage ? `what was said from “${from}” on` : "the whole conversation";
  const sees = frozen ? `${what} as it is now, and nothing that comes later` : `${what}, follows it live ${DEEDS[role]}`;
  byId("share-preview").textContent = `Whoever opens the link sees ${sees}.${expiresIn ? ` It works ${lasts}; then they are out again.` : ""}`;
}

/** Does something, and says it if it fails. @param {() => Promise<unknown>} deed */
async function attempt(deed) {
  try {
    await deed();
  } catch (error) {
    say(/** @type {Error} */ (error).message);
  }
}

/** @param {string} words */
function say(words) {
  if (dialog.isConnected) byId("share-said").textContent = words;
}

/** The lists as they are by now, unless nobody looks any more. */
async function refresh() {
  const current = await fragment("#share-state");
  if (dialog.isConnected) byId("share-state").replaceWith(document.adoptNode(current));
}

/** @param {string} selector @returns {Promise<Element>} */
async function fragment(selector) {
  const response = await fetch(`${location.pathname}/share`);
  if (!response.ok) throw new Error("You can no longer share this chat.");
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  return /** @type {Element} */ (page.querySelector(selector));
}

/** @param {string} method @param {string} url @param {object} [body] @returns {Promise<any>} */
const ask = async (method, url, body) => (await sendJson(method, url, body)).json().catch(() => ({}));
