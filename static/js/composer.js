/** The message box: grows, sends on Enter where there is a keyboard, keeps the draft, is never disabled. */

import { byId } from "./dom.js";

export class Composer {
  #form = /** @type {HTMLFormElement} */ (byId("composer"));
  #input = /** @type {HTMLTextAreaElement} */ (byId("composer-input"));
  #stop = byId("stop");
  #label = /** @type {HTMLElement} */ (this.#form.querySelector(".send-label"));
  #draftKey;

  /**
   * @param {object} options
   * @param {string} options.chatId
   * @param {(text: string) => void} options.send
   * @param {() => void} options.stop
   */
  constructor({ chatId, send, stop }) {
    this.#draftKey = `draft:${chatId}`;
    const coarse = matchMedia("(pointer: coarse)");
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.#input.value;
      if (text.trim()) {
        this.#write("");
        send(text);
      }
      this.#input.focus();
    });
    this.#input.addEventListener("keydown", (event) => {
      const composing = event.isComposing || event.keyCode === 229;
      if (event.key !== "Enter" || event.shiftKey || composing || coarse.matches) return;
      event.preventDefault();
      this.#form.requestSubmit();
    });
    this.#input.addEventListener("input", () => this.#changed());
    this.#stop.addEventListener("click", () => {
      stop();
      this.#input.focus();
    });
    if (!coarse.matches) this.#input.focus();
    this.#write(this.#input.value || sessionStorage.getItem(this.#draftKey) || "");
  }

  /** Puts text back, before what is being written. @param {string} text */
  restore(text) {
    this.#write([text, this.#input.value].filter(Boolean).join("\n"));
    this.#input.focus();
  }

  /** @param {boolean} running */
  set running(running) {
    this.#stop.hidden = !running;
    this.#label.textContent = running ? "Queue" : "Send";
  }

  /** @param {string} text */
  #write(text) {
    this.#input.value = text;
    this.#changed();
  }

  #changed() {
    sessionStorage.setItem(this.#draftKey, this.#input.value);
    if (CSS.supports("field-sizing", "content")) return;
    this.#input.rows = 1;
    const lines = Math.round(this.#input.scrollHeight / parseFloat(getComputedStyle(this.#input).lineHeight));
    this.#input.rows = Math.max(1, Math.min(lines, 14));
  }
}
