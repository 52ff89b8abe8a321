/**
 * Keeps the transcript equal to the chat. Adopts the server's rows, touches only what changed, at most once per
 * frame, and when something is finished puts the server's rendering of it in place of ours.
 */

import { finish, MessageView } from "./message-view.js";
import { rowOf, slots } from "./rows.js";

const PAUSE = 5000;
const PATIENCE = 15_000;

export class ChatView {
  #root;
  #client;
  #reader;
  #messageUrl;
  #onUpdate;
  /** @type {Map<string, MessageView>} */
  #views = new Map();
  /** Ids of messages and runs that changed since the last frame. @type {Set<string>} */
  #touched = new Set();
  /** Messages whose server rendering is still to come: asked for one after the other. @type {Set<string>} */
  #unsettled = new Set();
  #asking = Promise.resolve();

  /**
   * @param {object} options
   * @param {HTMLElement} options.root
   * @param {import("./page-session.js").PageSession} options.client
   * @param {import("./rows.js").Reader} options.reader
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
    const rows = /** @type {Iterable<HTMLElement>} */ (root.children);
    const rendered = new Map(Array.from(rows, (row) => [row.dataset.messageId ?? row.dataset.noteId ?? `run:${row.dataset.runId}`, row]));
    const { view } = client;
    for (const slot of slots(view)) {
      const row = rendered.get(slot.key);
      if (row) this.#views.set(slot.key, new MessageView(rowOf(slot, view, reader), row));
    }
    client.addEventListener("change", (event) => {
      const { messages, runs } = /** @type {CustomEvent} */ (event).detail;
      const idle = !this.#touched.size;
      for (const id of [...messages, ...runs, ""]) this.#touched.add(id);
      if (!idle) return;
      if (document.hidden) setTimeout(() => this.#render(), 250);
      else requestAnimationFrame(() => this.#render());
    });
  }

  #render() {
    const shown = this.#client.view;
    const wanted = slots(shown);
    const gone = new Set(this.#views.keys());
    let added = 0;
    /** @type {Element | undefined} */
    let before;
    for (const slot of wanted) {
      const { key, message, run } = slot;
      gone.delete(key);
      let view = this.#views.get(key);
      // What is above the first row of the window only the server knows.
      if (view && !before) slot.grouped = view.grouped;
      const its = message?.metadata?.runId;
      // What became of an approved tool shows where it was asked for.
      const concerned = [key, its, run?.runId, shown.runs[its]?.continuedBy].some((id) => this.#touched.has(id));
      if (!view || concerned || view.grouped !== slot.grouped || view.place !== slot.place) {
        const row = rowOf(slot, shown, this.#reader);
        if (!view) {
          this.#views.set(key, (view = new MessageView(row)));
          added++;
        }
        if (view.update(row) && message && !row.delivery) this.#settleSoon(key);
      }
      const { element } = view;
      if (before && element.previousElementSibling !== before) before.after(element);
      else if (!element.parentNode) this.#root.append(element);
      before = element;
    }
    for (const key of gone) {
      this.#views.get(key)?.element.remove();
      this.#views.delete(key);
    }
    this.#touched.clear();
    this.#onUpdate(added);
  }

  /** @param {string} key */
  #settleSoon(key) {
    if (this.#unsettled.has(key)) return;
    this.#unsettled.add(key);
    this.#asking = this.#asking.then(() => this.#settle(key));
  }

  /** @param {string} key */
  async #settle(key) {
    this.#unsettled.delete(key);
    const view = this.#views.get(key);
    const version = view?.version;
    try {
      const url = this.#messageUrl.replace("{mid}", encodeURIComponent(key));
      const response = await fetch(url, { signal: AbortSignal.timeout(PATIENCE) });
      if (response.status >= 500) throw new Error(response.statusText);
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const rendered = page.querySelector("article");
      const shown = this.#client.view;
      const slot = slots(shown).find((one) => one.key === key);
      if (!response.ok || !rendered || !view || !slot) return;
      const row = rowOf(slot, shown, this.#reader);
      if (row.state !== "streaming" && view.version !== version) return;
      view.settle(document.adoptNode(rendered), row);
      this.#onUpdate(0);
    } catch {
      // The live text stays until the network is back.
      setTimeout(() => this.#settleSoon(key), PAUSE);
    }
  }
}
