/** Says what is wrong with the connection, in words, and only if it lasts. Knows statuses, not connections. */

/** @typedef {import("./types.js").ConnectionStatus} ConnectionStatus */

const PATIENCE = 1000;
const GOOD_NEWS = 2000;
const BAD_NEWS = 6000;

export class ConnectionBar {
  #element;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {HTMLElement} element */
  constructor(element) {
    this.#element = element;
  }

  /** @param {ConnectionStatus} status */
  update(status) {
    clearTimeout(this.#timer);
    const { state, error, caughtUp = 0 } = status;
    const wait = status.since + PATIENCE - Date.now();
    if (state === "live") this.#recovered(caughtUp);
    else if (state === "gone") this.#show("offline", error ?? "This chat is no longer here for you.");
    else if (wait > 0) this.#timer = setTimeout(() => this.update(status), wait);
    else if (state === "offline") this.#show(state, "Offline — messages will be sent when you are back");
    else this.#count(status.retryAt ?? 0);
  }

  /** Something else that failed, and has no other place. @param {string} text */
  say(text) {
    this.#show("offline", text);
    this.#timer = setTimeout(() => (this.#element.hidden = true), BAD_NEWS);
  }

  /** @param {number} retryAt */
  #count(retryAt) {
    const seconds = Math.ceil((retryAt - Date.now()) / 1000);
    this.#show("trouble", seconds > 0 ? `Reconnecting… (${seconds} s)` : "Reconnecting…", seconds > 0);
    this.#timer = setTimeout(() => this.#count(retryAt), 500);
  }

  /** @param {number} events */
  #recovered(events) {
    if (this.#element.hidden) return;
    this.#show("caught-up", events ? `Caught up, ${events} event${events > 1 ? "s" : ""}` : "Connected again");
    this.#timer = setTimeout(() => (this.#element.hidden = true), GOOD_NEWS);
  }

  /** @param {string} kind @param {string} text @param {boolean} [retry] */
  #show(kind, text, retry = false) {
    clearTimeout(this.#timer);
    const [, words, button] = /** @type {Iterable<HTMLElement>} */ (this.#element.children);
    this.#element.dataset.kind = kind;
    words.textContent = text;
    button.hidden = !retry;
    this.#element.hidden = false;
  }
}
