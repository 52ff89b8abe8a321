/**
 * What somebody has begun to write: kept in the browser at once and on the server after a moment, and taken up by their
 * other tabs as long as nothing is written there. Loaded when there is something to keep or to take up.
 *
 * The browser notes which of the server's drafts its own text goes on from: so it knows, whatever the clocks say, whether
 * its text is newer than what the server has by now.
 */

import { byId } from "./dom.js";
import { createId } from "../http.js";

const SAVE_AFTER = 1000;

/** @typedef {{text: string, at: number | null}} Draft */

/**
 * @param {import("./page-session.js").PageSession} client
 * @param {{key: string, url: string, kept: Draft}} options   `kept`: what the server had when the page was made
 * @returns {{take: (by: string) => Promise<void>}}   what another tab has written is taken up, if nothing is written here
 */
export function keepDraft(client, { key, url, kept }) {
  const input = /** @type {HTMLTextAreaElement} */ (byId("composer-input"));
  const tab = createId();
  let saved = kept;
  let saving = Promise.resolve();
  let unsure = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let waiting;

  /** A message that is written anew is no draft. */
  const text = () => (byId("revising").hidden ? input.value : saved.text);

  function save() {
    clearTimeout(waiting);
    waiting = undefined;
    saving = saving.then(async () => {
      const now = text();
      if (now === saved.text && !unsure) return;
      try {
        const reply = await client.request("PUT", url, { text: now, tab });
        saved = { text: now, at: (await reply?.json()).at };
        unsure = false;
        note();
      } catch {
        // The next key tries again, and the browser has it.
      }
    });
  }

  function note() {
    if (text()) localStorage[key] = JSON.stringify({ text: text(), after: saved.at });
    else localStorage.removeItem(key);
  }

  function changed() {
    note();
    if (text()) waiting ??= setTimeout(save, SAVE_AFTER);
    else save();
  }

  /** @param {string} found */
  function show(found) {
    if (!found || input.value) return;
    input.value = found;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  }

  input.addEventListener("input", changed);
  input.form?.addEventListener("submit", () => setTimeout(changed));
  addEventListener("pagehide", () => waiting && save());
  document.addEventListener("visibilitychange", () => document.hidden && waiting && save());
  show(newest(key, kept));
  // What the page before this one was still saving may have come after this page was made.
  unsure = input.value !== kept.text;
  if (input.value) changed();

  return {
    async take(by) {
      if (by === tab || input.value) return;
      const response = await fetch(url).catch(() => undefined);
      if (!response?.ok) return;
      const found = await response.json();
      if (input.value) return;
      saved = found;
      show(found.text);
    },
  };
}

/** What the browser has kept, if it goes on from what the server has; else that. @param {string} key @param {Draft} kept */
function newest(key, kept) {
  try {
    const { text, after } = JSON.parse(localStorage[key] ?? "{}");
    if (typeof text === "string" && (after === kept.at || text.startsWith(kept.text || "\n"))) return text;
  } catch {
    localStorage.removeItem(key);
  }
  return kept.text;
}
