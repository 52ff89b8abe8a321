/**
 * Tells the others that this tab is here, whether somebody looks at it, and whether they type; and has those shown who
 * are here, once there is somebody to show (faces.js).
 */

import { createId } from "../http.js";

/** @typedef {{participantId: string, name: string, hue: number, guest: boolean, role: string, state: "active" | "away", typing: boolean, devices: number, on: string[]}} Person */
/** @typedef {{url: string, every: number, chatId: string, me: {id: string, name: string, hue?: number}, hub: EventTarget, onTyping: (words: string) => void}} HereOptions */

const TYPING_AGAIN = 2500;
const NO_LONGER = 4000;

export class Here {
  /** Who is here. @type {Person[]} */
  people = [];
  #options;
  #tab = createId();
  #seq = 0;
  /** When somebody was last said to type, if they do. */
  #typing = 0;
  #over = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #next;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #quiet;
  /** @type {Promise<import("./faces.js").Faces> | undefined} */
  #faces;

  /** @param {HereOptions} options `every`: ms between two signs of life */
  constructor(options) {
    this.#options = options;
    options.hub.addEventListener("presence", (event) => this.#show(/** @type {CustomEvent} */ (event).detail));
    document.addEventListener("visibilitychange", () => this.beat());
    addEventListener("pageshow", ({ persisted }) => {
      if (!persisted) return;
      this.#over = false;
      this.beat();
    });
    // A page that goes is hidden after that, which is no news any more.
    addEventListener("pagehide", () => {
      if (!this.#over) this.#say("gone");
      this.#over = true;
    });
    document.addEventListener("me", (event) => {
      const { name, hue } = /** @type {CustomEvent} */ (event).detail;
      Object.assign(options.me, { name, hue });
      this.beat();
    });
    document.addEventListener("input", ({ target }) => /** @type {HTMLElement} */ (target).id === "composer-input" && this.#typed(/** @type {HTMLTextAreaElement} */ (target).value));
    document.addEventListener("submit", () => this.#typed(""));
    this.beat();
  }

  /** Says what there is to say, now and again and again. */
  beat() {
    if (this.#over) return;
    this.#say(document.hidden ? "away" : "active");
    this.#next = setTimeout(() => this.beat(), this.#options.every);
  }

  /** There is nothing to be in any more. */
  stop() {
    clearTimeout(this.#next);
    this.#over = true;
  }

  /** @param {string} state */
  #say(state) {
    clearTimeout(this.#next);
    const device = !matchMedia("(pointer: coarse)").matches ? "computer" : Math.min(screen.width, screen.height) < 600 ? "phone" : "tablet";
    const body = JSON.stringify({ tab: this.#tab, seq: ++this.#seq, state, typing: this.#typing > 0, device });
    // Kept alive, so that a page that closes still says so.
    fetch(this.#options.url, { method: "POST", headers: { "Content-Type": "application/json" }, body, keepalive: true }).catch(() => {});
  }

  /** @param {string} text what is in the message box now */
  #typed(text) {
    clearTimeout(this.#quiet);
    const now = performance.now();
    if (text) this.#quiet = setTimeout(() => this.#typed(""), NO_LONGER);
    if (text ? now - this.#typing < TYPING_AGAIN && this.#typing : !this.#typing) return;
    this.#typing = text ? now : 0;
    this.beat();
  }

  /** @param {{id: string, people: Person[]}} told */
  async #show({ id, people }) {
    const { chatId, me } = this.#options;
    if (id !== chatId) return;
    this.people = people;
    const mine = people.find(({ participantId }) => participantId === me.id);
    if (!this.#faces && people.every((one) => one === mine && one.devices < 2)) return;
    this.#faces ??= import("./faces.js").then(({ Faces }) => new Faces(this.#options));
    const faces = await this.#faces.catch(() => (this.#faces = undefined)); // cut off while it was loaded: once more next time
    void faces?.update(this.people);
  }
}
