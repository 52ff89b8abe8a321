/**
 * Keeps the transcript equal to the chat. Adopts the server's rows, touches only what changed, at most once per
 * frame, and when a message is finished puts the server's rendering of it in place of ours.
 */

import { finish, MessageView } from "./message-view.js";
import { rowOf, slots } from "./rows.js";

/** @typedef {import("./chat-client.js").ChatClient} ChatClient */

const FETCHES = 2;
const ATTEMPTS = 3;

export class ChatView {
  #root;
  #client;
  #reader;
  #messageUrl;
  /** @type {Map<string, MessageView>} */
  #views = new Map();
  /** @type {Set<string>} */
  #touched = new Set();
  /** @type {Set<string>} */
  #touchedRuns = new Set();
  #scheduled = false;
  /** Finished messages whose server rendering is still to come, with the attempts made. @type {Map<string, number>} */
  #unsettled = new Map();
  #fetching = 0;
  #onUpdate;

  /**
   * @param {object} options
   * @param {HTMLElement} options.root
   * @param {ChatClient} options.client
   * @param {{meId: string, canChat: boolean}} options.reader
   * @param {string} options.messageUrl  of one rendered message, with `{mid}` for its id
   * @param {(added: number) => void} options.onUpdate  after each frame that changed something
   */
  constructor({ root, client, reader, messageUrl, onUpdate }) {
    this.#root = root;
    this.#client = client;
    this.#reader = reader;
    this.#messageUrl = messageUrl;
    this.#onUpdate = onUpdate;
    finish(root);
    for (const slot of slots(client)) {
      const rendered = this.#find(slot.key);
      if (rendered) this.#views.set(slot.key, new MessageView(rowOf(slot, client, reader), rendered));
    }
    client.addEventListener("change", (event) => this.#change(/** @type {CustomEvent} */ (event).detail));
  }

  /** @param {{messages: Iterable<string>, runs: Iterable<string>}} detail */
  #change({ messages, runs }) {
    for (const id of messages) this.#touched.add(id);
    for (const id of runs) this.#touchedRuns.add(id);
    if (this.#scheduled) return;
    this.#scheduled = true;
    const flush = () => this.#flush();
    if (document.hidden) setTimeout(flush, 250);
    else requestAnimationFrame(flush);
  }

  #flush() {
    this.#scheduled = false;
    const wanted = slots(this.#client);
    const keys = new Set(wanted.map(({ key }) => key));
    let added = 0;
    for (const [key, view] of this.#views) {
      if (keys.has(key)) continue;
      view.element.remove();
      this.#views.delete(key);
    }
    /** @type {Element | null} */
    let before = null;
    wanted.forEach((slot, index) => {
      const view = this.#views.get(slot.key);
      const { message } = slot;
      const regrouped = view !== undefined && index > 0 && view.grouped !== slot.grouped;
      const concerned = message ? this.#touched.has(slot.key) || this.#touchedRuns.has(message.metadata?.runId) : this.#touchedRuns.has(slot.run.runId);
      if (view && !concerned && !regrouped) {
        before = this.#place(view, before);
        return;
      }
      if (view && index === 0) slot.grouped = view.grouped;
      const row = rowOf(slot, this.#client, this.#reader);
      if (view) view.update(row);
      else added++;
      const shown = view ?? new MessageView(row);
      this.#views.set(slot.key, shown);
      before = this.#place(shown, before);
      if (message && row.state !== "streaming" && !row.delivery) this.#unsettled.set(slot.key, 0);
    });
    this.#touched.clear();
    this.#touchedRuns.clear();
    this.#settle();
    this.#onUpdate(added);
  }

  /** @param {MessageView} view @param {Element | null} before */
  #place({ element }, before) {
    if (element.parentNode !== this.#root || (before && element.previousElementSibling !== before)) {
      this.#root.insertBefore(element, before ? before.nextSibling : this.#firstRow());
    }
    return element;
  }

  #firstRow() {
    const [first] = this.#views.values();
    return first?.element.parentNode === this.#root ? first.element : null;
  }

  #settle() {
    for (const [key, attempts] of this.#unsettled) {
      if (this.#fetching >= FETCHES) return;
      this.#unsettled.delete(key);
      this.#fetching++;
      void this.#settleOne(key, attempts);
    }
  }

  /** @param {string} key @param {number} attempts */
  async #settleOne(key, attempts) {
    const view = this.#views.get(key);
    const version = view?.version;
    try {
      const response = await fetch(this.#messageUrl.replace("{mid}", encodeURIComponent(key)), { credentials: "same-origin" });
      if (!response.ok) throw new Error(`status ${response.status}`);
      const rendered = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("article");
      const slot = slots(this.#client).find((one) => one.key === key);
      if (!view || !rendered || !slot || view.version !== version) return;
      view.settle(document.adoptNode(rendered), rowOf(slot, this.#client, this.#reader));
      this.#onUpdate(0);
    } catch {
      if (attempts + 1 < ATTEMPTS) setTimeout(() => this.#later(key, attempts + 1), 2000 * 2 ** attempts);
    } finally {
      this.#fetching--;
      this.#settle();
    }
  }

  /** @param {string} key @param {number} attempts */
  #later(key, attempts) {
    if (!this.#unsettled.has(key)) this.#unsettled.set(key, attempts);
    this.#settle();
  }

  /** @param {string} key @returns {HTMLElement | null} */
  #find(key) {
    const [attribute, id] = key.startsWith("run:") ? ["data-run-id", key.slice(4)] : ["data-message-id", key];
    return this.#root.querySelector(`:scope > article[${attribute}="${CSS.escape(id)}"]`);
  }
}
