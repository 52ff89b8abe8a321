/** Says what is wrong with the connection, in words, and only if it lasts. Knows statuses, not connections. */

/** @typedef {import("./types.js").ConnectionStatus} ConnectionStatus */

const PATIENCE = 1000;
const GOOD_NEWS = 2000;

export class ConnectionBar {
  #element;
  #text;
  #retry;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #shown = false;

  /** @param {HTMLElement} element @param {() => void} retryNow */
  constructor(element, retryNow) {
    this.#element = element;
    this.#text = /** @type {HTMLElement} */ (element.querySelector(".connection-text"));
    this.#retry = /** @type {HTMLButtonElement} */ (element.querySelector("button"));
    this.#retry.addEventListener("click", retryNow);
  }

  /** @param {ConnectionStatus} status */
  update(status) {
    clearTimeout(this.#timer);
    const { state } = status;
    if (state === "live") return this.#recovered(status.caughtUp ?? 0);
    if (state === "closed") return this.#hide();
    if (state === "gone") return this.#show("offline", status.error ?? "This chat is no longer here for you.");
    const wait = status.since + PATIENCE - Date.now();
    if (wait > 0) this.#timer = setTimeout(() => this.update(status), wait);
    else this.#trouble(status);
  }

  /** @param {ConnectionStatus} status */
  #trouble(status) {
    if (status.state === "offline") return this.#show("offline", "Offline — messages will be sent when you are back");
    const seconds = Math.ceil(((status.retryAt ?? 0) - Date.now()) / 1000);
    this.#show("trouble", seconds > 0 ? `Reconnecting… (${seconds} s)` : "Reconnecting…", seconds > 0);
    this.#timer = setTimeout(() => this.#trouble(status), 500);
  }

  /** @param {number} events */
  #recovered(events) {
    if (!this.#shown) return;
    this.#show("caught-up", events ? `Caught up, ${events} ${events === 1 ? "event" : "events"}` : "Connected again");
    this.#timer = setTimeout(() => this.#hide(), GOOD_NEWS);
  }

  /** @param {string} kind @param {string} text @param {boolean} [retry] */
  #show(kind, text, retry = false) {
    this.#shown = true;
    this.#element.dataset.kind = kind;
    if (this.#text.textContent !== text) this.#text.textContent = text;
    this.#retry.hidden = !retry;
    this.#element.hidden = false;
  }

  #hide() {
    this.#shown = false;
    this.#element.hidden = true;
  }
}
