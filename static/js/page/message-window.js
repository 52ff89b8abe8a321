/**
 * Moves the window that a page has on a long chat: fetches what is above and below it, jumps to a message or back to the
 * end, and takes out what is far from view, so that the page never has more than some hundred rows. The view never moves
 * but by a jump. Loaded when it is first needed.
 */

import { MOST, KEPT } from "./chat-view.js";
import { h } from "./dom.js";
import { finish } from "./message-view.js";
import { keyOf } from "./rows.js";

const PATIENCE = 15_000;
const PAUSE = 5000;
const ROWS = ".message, .note";

/**
 * @typedef {object} Place
 * @property {HTMLElement} root
 * @property {HTMLElement} scroller
 * @property {import("./chat-view.js").ChatView} view
 * @property {import("./page-session.js").PageSession} client
 * @property {import("./autoscroll.js").Autoscroll} scrolling
 * @property {IntersectionObserver} edges   tells of links that come near, and this of new ones
 * @property {(text: string) => void} say   what went wrong
 */

export class MessageWindow {
  #place;
  /** One after the other. @type {Promise<unknown>} */
  #work = Promise.resolve();

  /** @param {Place} place */
  constructor(place) {
    this.#place = place;
  }

  /** Puts what a link leads to in its place: earlier messages, or later ones. @param {HTMLAnchorElement} link */
  load(link) {
    return this.#next(async () => {
      if (!link.isConnected) return;
      const { root, view, scrolling, edges } = this.#place;
      try {
        const { page, stale } = await this.#fetch(link.search);
        if (!link.isConnected) return;
        const older = link.matches(".older");
        const release = older ? scrolling.hold() : () => {};
        const rows = this.#fitting(page);
        link.replaceWith(...rows);
        finish(root);
        view.adopt(rows, stale);
        if (older) this.#link("older", page.querySelector("a.older"));
        else this.#reach(page.querySelector("a.newer"));
        release();
        this.#trim(older ? "below" : "above");
      } catch {
        setTimeout(() => (edges.unobserve(link), edges.observe(link)), PAUSE);
      }
    });
  }

  /** Goes back to the end. */
  latest() {
    return this.#next(async () => {
      const { scrolling, client } = this.#place;
      // Whoever was led here by a link may look at other versions than the server knows of.
      const to = client.view.messages.at(-1)?.id ?? "";
      if (!scrolling.attached) this.#replace(await this.#fetch(`?to=${encodeURIComponent(to)}`));
      scrolling.toEnd();
    });
  }

  /** Brings a message into view. @param {string} id @returns {Promise<unknown>} */
  show(id) {
    return this.#next(async () => {
      if (!this.#row(id)) this.#replace(await this.#fetch(`?at=${encodeURIComponent(id)}`));
      const row = this.#row(id);
      row?.scrollIntoView({ block: "start" });
      row?.focus({ preventScroll: true });
    });
  }

  /** Takes out what is far from view, if there is too much. */
  trim() {
    return this.#next(async () => this.#trim());
  }

  /** @param {() => Promise<void>} work */
  #next(work) {
    this.#work = this.#work.then(work).catch(({ message }) => this.#place.say(message));
    return this.#work;
  }

  /** @param {string} id */
  #row(id) {
    return /** @type {HTMLElement | null} */ (this.#place.root.querySelector(`[data-message-id="${CSS.escape(id)}"]`));
  }

  /** @param {string} query */
  async #fetch(query) {
    const { client } = this.#place;
    /** @type {Set<string>} */
    const stale = new Set();
    const note = (/** @type {Event} */ event) => {
      const { messages, runs } = /** @type {CustomEvent} */ (event).detail;
      for (const id of [...messages, ...runs]) stale.add(id);
    };
    client.addEventListener("change", note);
    try {
      const reply = await fetch(`${location.pathname}/messages${query}`, { signal: AbortSignal.timeout(PATIENCE) });
      if (!reply.ok) throw new Error(reply.status === 404 ? "This message is not here any more." : "Other messages cannot be reached right now.");
      return { page: new DOMParser().parseFromString(await reply.text(), "text/html"), stale };
    } finally {
      client.removeEventListener("change", note);
    }
  }

  /** The rows of a page that belong here: not those that are here, and of what is new those that the client knows. @param {Document} page */
  #fitting(page) {
    const { root, view } = this.#place;
    const known = new Set(view.slots.map(({ key }) => key));
    const here = new Set(Array.from(root.children, keyOf));
    let reached = false;
    return rowsIn(page.body).filter((row) => {
      const key = keyOf(row);
      reached ||= known.has(key);
      return !here.has(key) && (known.has(key) || !reached);
    });
  }

  /** @param {{page: Document, stale: Set<string>}} fetched */
  #replace({ page, stale }) {
    const { root, view } = this.#place;
    view.drop(root.children);
    const rows = this.#fitting(page);
    root.append(...rows);
    finish(root);
    view.adopt(rows, stale);
    this.#link("older", page.querySelector("a.older"));
    this.#reach(page.querySelector("a.newer"));
  }

  /** Puts the link to further messages where they will be. @param {"older" | "newer"} kind @param {Element | null} link */
  #link(kind, link) {
    const { root, edges } = this.#place;
    root.querySelector(`.${kind}`)?.remove();
    if (!link) return;
    if (kind === "older") root.prepend(link);
    else root.append(link);
    edges.observe(link);
  }

  /** @param {Element | null} newer   what leads further down; none: this is the end */
  #reach(newer) {
    this.#link("newer", newer);
    this.#place.view.attached = !newer;
  }

  /** @param {"above" | "below"} [side]   what is further away; none: whatever there is more of */
  #trim(side) {
    const { root, scroller, view, scrolling } = this.#place;
    const rows = rowsIn(root);
    const { top, bottom } = scroller.getBoundingClientRect();
    const above = rows.findIndex((row) => row.getBoundingClientRect().bottom >= top);
    const last = rows.findLastIndex((row) => row.getBoundingClientRect().top <= bottom);
    const excess = rows.length > MOST ? rows.length - KEPT : 0;
    side ??= scrolling.pinned || above > rows.length - last ? "above" : "below";
    // A window begins with a message, and the next one does: what stands between belongs to the one before.
    const next = (/** @type {number} */ at) => rows.findIndex((row, index) => index >= at && row.dataset.messageId);
    if (excess && side === "below") {
      const end = next(Math.max(KEPT, last + 1));
      if (end < 0) return;
      view.drop(rows.slice(end));
      this.#reach(edge("newer", "at", rows[end]));
    } else {
      const start = next(Math.min(excess, Math.max(above, 0)));
      const known = view.slots.findIndex(({ key }) => key === keyOf(rows[start]));
      if (start < 1 && (known < 1 || root.querySelector(".older"))) return;
      const release = scrolling.hold();
      view.drop(rows.slice(0, start));
      this.#link("older", edge("older", "before", rows[start]));
      release();
    }
  }
}

/** @param {ParentNode} parent @returns {HTMLElement[]} */
const rowsIn = ({ children }) => /** @type {HTMLElement[]} */ ([...children].filter((child) => child.matches(ROWS)));

/** @param {string} kind @param {string} name @param {HTMLElement} row */
function edge(kind, name, { dataset }) {
  const href = `${location.pathname}?${name}=${encodeURIComponent(dataset.messageId ?? "")}`;
  return h("a", { class: `edge ${kind}`, href }, kind === "older" ? "Earlier messages" : "Later messages");
}
