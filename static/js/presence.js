/**
 * Tells the others that this tab is here, whether somebody looks at it, and whether they type; and has those shown who
 * are here, once there is somebody to show (faces.js).
 */

import { createId } from "./http.js";

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
  #said = 0;
  #typing = false;
  /** @type {Record<string, ReturnType<typeof setTimeout> | undefined>} */
  #timers = {};
  #over = false;
  /** @type {Promise<import("./faces.js").Faces> | undefined} */
  #faces;

  /** @param {HereOptions} options `every`: ms between two signs of life */
  constructor(options) {
    this.#options = options;
    const { hub } = options;
    hub.addEventListener("presence", (event) => this.#show(/** @type {CustomEvent} */ (event).detail));
    document.addEventListener("visibilitychange", () => this.beat());
    addEventListener("online", () => this.beat());
    addEventListener("pageshow", ({ persisted }) => persisted && this.beat());
    addEventListener("pagehide", () => this.stop(false));
    document.addEventListener("input", ({ target }) => target instanceof HTMLTextAreaElement && target.form && this.#typed(target.value));
    document.addEventListener("submit", () => this.#typed(""));
    this.beat();
  }

  /** Says what there is to say, now and again and again. */
  beat() {
    clearTimeout(this.#timers.beat);
    if (this.#over) return;
    this.#timers.beat = setTimeout(() => this.beat(), this.#options.every);
    this.#said = performance.now();
    const init = { method: "POST", headers: { "Content-Type": "application/json" }, body: this.#words(document.hidden ? "away" : "active") };
    fetch(this.#options.url, init).catch(() => {});
  }

  /** Says goodbye. @param {boolean} [over] for good */
  stop(over = true) {
    clearTimeout(this.#timers.beat);
    if (!this.#over) navigator.sendBeacon(this.#options.url, new Blob([this.#words("gone")], { type: "application/json" }));
    this.#over = over;
  }

  /** @param {string} state */
  #words(state) {
    const { width, height } = screen;
    const device = !matchMedia("(pointer: coarse)").matches ? "computer" : Math.min(width, height) < 600 ? "phone" : "tablet";
    return JSON.stringify({ tab: this.#tab, seq: ++this.#seq, state, typing: this.#typing, device });
  }

  /** @param {string} text what is in the message box now */
  #typed(text) {
    clearTimeout(this.#timers.typing);
    const typing = text !== "";
    if (typing) this.#timers.typing = setTimeout(() => this.#typed(""), NO_LONGER);
    if (typing === this.#typing && (!typing || performance.now() - this.#said < TYPING_AGAIN)) return;
    this.#typing = typing;
    this.beat();
  }

  /** @param {{id: string, people: Person[]}} told */
  async #show({ id, people }) {
    const { chatId, me } = this.#options;
    if (id !== chatId) return;
    this.people = people;
    const mine = people.find(({ participantId }) => participantId === me.id);
    if (mine && mine.name !== me.name) document.dispatchEvent(new CustomEvent("me", { detail: mine }));
    if (!this.#faces && !people.some((one) => one !== mine || one.devices > 1)) return;
    this.#faces ??= import("./faces.js").then(({ Faces }) => new Faces(this.#options));
    (await this.#faces).update(this.people);
  }
}
