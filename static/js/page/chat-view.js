/**
 * Keeps the transcript equal to the chat. Adopts the server's rows, touches only what changed, at most once per
 * frame, and when something is finished puts the server's rendering of it in place of ours.
 * Of a long chat it shows a window: the rows it has, what comes between them, and, if the window reaches the end, what
 * comes after. message-window.js moves it.
 */

import { h } from "./dom.js";
import { finish, loadMarkdown, MessageView } from "./message-view.js";
import { keyOf, rowOf, slots } from "./rows.js";

/** So many rows a page has at most, and so many are left when there were too many. */
export const MOST = 400;
export const KEPT = 300;
const PAUSE = 5000;
const PATIENCE = 15_000;

export class ChatView {
  #root;
  #client;
  #reader;
  #scrolling;
  #messageUrl;
  #onUpdate;
  #onCrowd;
  /** @type {Map<string, MessageView>} */
  #views = new Map();
  /** Every row there has been, on the page or not. @type {Set<string>} */
  #known;
  /** What is not read: a line, and the key of the row below it. @type {{line?: HTMLElement | null, key?: string}} */
  #unread = {};
  /** Ids of messages and runs that changed since the last frame. @type {Set<string>} */
  #touched = new Set();
  /** Messages whose server rendering is still to come: asked for one after the other. @type {Set<string>} */
  #unsettled = new Set();
  #asking = Promise.resolve();
  /** @type {Promise<void> | undefined} */
  #ready;

  /**
   * @param {object} options
   * @param {HTMLElement} options.root
   * @param {import("./page-session.js").PageSession} options.client
   * @param {import("./rows.js").Reader} options.reader
   * @param {import("./autoscroll.js").Autoscroll} options.scrolling
   * @param {string} options.messageUrl  of one rendered message, with `{mid}` for its id
   * @param {(added: number) => void} options.onUpdate  after each frame that changed something
   * @param {() => void} options.onCrowd  when there are too many rows
   */
  constructor({ root, client, reader, scrolling, messageUrl, onUpdate, onCrowd }) {
    this.#root = root;
    this.#client = client;
    this.#reader = reader;
    this.#scrolling = scrolling;
    this.#messageUrl = messageUrl;
    this.#onUpdate = onUpdate;
    this.#onCrowd = onCrowd;
    this.#known = new Set(slots(client.view).map(({ key }) => key));
    const line = root.querySelector(".unread");
    if (line) this.#unread = { line: /** @type {HTMLElement} */ (line), key: keyOf(line.nextElementSibling) };
    finish(root);
    this.adopt(root.children);
    client.addEventListener("change", (event) => {
      const { messages, runs } = /** @type {CustomEvent} */ (event).detail;
      this.#touch(...messages, ...runs, "");
    });
  }

  /**
   * Takes over rows that the server has rendered and that are in the transcript.
   * @param {Iterable<Element>} rows @param {Set<string>} [stale] what has changed since they were asked for
   */
  adopt(rows, stale) {
    const { view } = this.#client;
    const known = new Map(slots(view).map((slot) => [slot.key, slot]));
    for (const row of [...rows]) {
      const key = keyOf(row);
      const slot = known.get(key);
      if (!slot) continue;
      const told = rowOf({ ...slot, grouped: row.classList.contains("grouped") }, view, this.#reader);
      const outdated = stale && (stale.has(key) || stale.has(told.runId ?? ""));
      const adopted = new MessageView(told, outdated ? undefined : /** @type {HTMLElement} */ (row));
      this.#views.set(key, adopted);
      if (!outdated) continue;
      row.replaceWith(adopted.element);
      this.#touch(key);
    }
  }

  /** Takes rows out. @param {Iterable<Element>} rows */
  drop(rows) {
    for (const row of [...rows]) {
      this.#views.delete(keyOf(row));
      row.remove();
    }
  }

  /** The rows that the client knows, whether they are shown or not. */
  get slots() {
    return slots(this.#client.view);
  }

  /** Whether nothing above or below it is hidden. Shows what comes after the last row, or no longer. @param {boolean} attached */
  set attached(attached) {
    this.#scrolling.attached = attached;
    if (attached) this.#touch("");
  }

  /** Draws the line above whatever others say from now on. */
  leave() {
    this.#unread.line?.remove();
    this.#unread = { line: h("p", { class: "unread", role: "separator" }, "New since you were here") };
  }

  /** Everything has been read. */
  read() {
    this.#unread.line?.remove();
    this.#unread = {};
  }

  /** Which rows there are to be: those between the first and the last there are, and at the end what follows. @param {import("./rows.js").Slot[]} all */
  #window(all) {
    const { attached, pinned } = this.#scrolling;
    const has = (/** @type {import("./rows.js").Slot} */ { key }) => this.#views.has(key);
    // With nothing hidden above, what the log has before the first row belongs on the page: two may say the first word at once.
    const hidden = all.length > MOST || this.#root.querySelector(".older");
    const start = hidden ? all.findIndex(has) : 0;
    const wanted = all.slice(start < 0 ? (attached ? 0 : all.length) : start, attached ? undefined : all.findLastIndex(has) + 1);
    if (wanted.length <= MOST) return wanted;
    if (pinned) return wanted.slice(-KEPT);
    this.#scrolling.attached = false;
    return wanted.slice(0, MOST);
  }

  /** Brings the transcript up to date in the next frame. @param {...string} ids */
  #touch(...ids) {
    const idle = !this.#touched.size;
    for (const id of ids) this.#touched.add(id);
    if (!idle) return;
    const soon = () => (document.hidden ? setTimeout(() => this.#render(), 250) : requestAnimationFrame(() => this.#render()));
    void this.prepare().then(soon);
  }

  /** Something will have to be rendered here. */
  prepare() {
    const { names, myName } = this.#reader;
    // Without it the text is plain, until the server's rendering comes.
    this.#ready ??= loadMarkdown(names, myName).catch(() => (this.#ready = undefined));
    return this.#ready;
  }

  #render() {
    const shown = this.#client.view;
    const all = slots(shown);
    const gone = new Set(this.#views.keys());
    let added = 0;
    for (const { key, message, run } of all) {
      if (this.#known.has(key)) continue;
      this.#known.add(key);
      added++;
      const mine = message?.metadata?.participantId === this.#reader.meId;
      if (this.#unread.line && !this.#unread.key && (message || run) && !mine) this.#unread.key = key;
    }
    /** @type {Element | undefined} */
    let before;
    const place = (/** @type {HTMLElement} */ element) => {
      if (before && element.previousElementSibling !== before) before.after(element);
      else if (!element.parentNode) this.#root.append(element);
      before = element;
    };
    const wanted = this.#window(all);
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
        if (!view) this.#views.set(key, (view = new MessageView(row)));
        if (view.update(row) && message && !row.delivery) this.#settleSoon(key);
      }
      if (key === this.#unread.key && this.#unread.line && before) place(this.#unread.line);
      place(view.element);
    }
    for (const key of gone) {
      this.#views.get(key)?.element.remove();
      this.#views.delete(key);
    }
    const cut = wanted.length === KEPT && gone.size > 0;
    if (cut) while (this.#root.firstElementChild !== this.#views.get(wanted[0].key)?.element) this.#root.firstElementChild?.remove();
    this.#touched.clear();
    this.#onUpdate(added);
    if (cut || this.#root.childElementCount > MOST) this.#onCrowd();
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
